# SPDX-License-Identifier: Apache-2.0
"""Arguments, operators and pytrees of a graph as JSON, and back. Reading trusts nothing: no names are imported, no
expressions evaluated, and only operators that compute on tensors are known.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from edgectl_protos.errors import BundleError, CompileError
from torch import fx
from torch.utils import _pytree as pytree

NAMESPACES = frozenset({"aten", "prims", "quantized_decomposed", "torchao", "torch_attn", "higher_order"})
HIGHER_ORDER = frozenset({"wrap_with_set_grad_enabled", "wrap_with_autocast", "cond"})
# Arguments of type text that choose how to compute; an operator with any other (a file's name) is not known.
_TEXTS = frozenset(
    {"padding", "padding_mode", "mode", "reduction", "reduce", "approximate", "rounding_mode", "indexing", "equation"}
    | {"norm", "ord", "side", "driver", "interpolation", "pad_mode", "nonlinearity", "upper", "cast"}
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"operator.{name}": getattr(operator, name) for name in ("getitem", "add", "sub", "mul", "floordiv", "truediv")},
    **{f"operator.{name}": getattr(operator, name) for name in ("mod", "neg", "pow", "eq", "ne", "lt", "le", "gt")},
    **{f"operator.{name}": getattr(operator, name) for name in ("ge", "and_", "or_", "not_")},
    **{f"math.{name}": getattr(math, name) for name in ("trunc", "ceil", "floor", "sqrt")},
    **{f"torch.{name}": getattr(torch, name) for name in ("sym_int", "sym_float", "sym_max", "sym_min", "sym_not")},
}
_NAMES = {id(function): name for name, function in _FUNCTIONS.items()}
_DTYPES = {str(one).removeprefix("torch."): one for one in vars(torch).values() if isinstance(one, torch.dtype)}
_FORMATS = {
    str(one).removeprefix("torch."): one
    for one in (torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d)
}
_CONSTANTS: dict[str, dict[Any, Any]] = {
    "dtype": _DTYPES,
    "layout": {"strided": torch.strided},
    "memory_format": _FORMATS,
    "device": {"cpu": torch.device("cpu"), "cuda": torch.device("cpu")},
    "float": {"inf": math.inf, "-inf": -math.inf, "nan": math.nan},
}
_DEEPEST = 32


def target_name(target: Any) -> str:
    """An operator's name: `aten::add.Tensor`, `operator.mul`, `higher_order::cond`.

    Raises:
        CompileError: it is none that can be saved.
    """
    if isinstance(target, torch._ops.OpOverload):  # noqa: SLF001 - the class has no public name
        name = f"{target.namespace}::{target._opname}.{target._overloadname}"  # noqa: SLF001
    elif isinstance(target, torch._ops.HigherOrderOperator):  # noqa: SLF001
        name = f"higher_order::{target.name()}"  # type: ignore[no-untyped-call]
    else:
        name = _NAMES.get(id(target), "")
    try:
        if name and target_of(name) is target:
            return name
    except BundleError:
        pass
    raise CompileError(f"the operator {target} cannot be saved", expected="one of aten or of quantization")


def target_of(name: object) -> Any:
    """The operator of a name.

    Raises:
        BundleError: it is not one that a saved graph may hold.
    """
    if isinstance(name, str) and name in _FUNCTIONS:
        return _FUNCTIONS[name]
    namespace, colons, rest = name.partition("::") if isinstance(name, str) else ("", "", "")
    operation, dot, overload = rest.partition(".")
    if not colons or namespace not in NAMESPACES or not operation.isidentifier():
        raise BundleError(f"the operator {name!r:.80}", expected="one that a saved graph may hold")
    if namespace == "higher_order":
        if operation not in HIGHER_ORDER:
            raise BundleError(f"the operator {name!r:.80}", expected=f"one of {', '.join(sorted(HIGHER_ORDER))}")
        return getattr(torch.ops.higher_order, operation)
    _load_namespace(namespace)
    found = getattr(getattr(getattr(torch.ops, namespace), operation, None), overload or "default", None)
    if not dot or not isinstance(found, torch._ops.OpOverload) or not _computes(found):  # noqa: SLF001
        raise BundleError(f"the operator {name!r:.80}", expected="one that this version of torch has")
    return found


def _load_namespace(namespace: str) -> None:
    if namespace in ("quantized_decomposed", "torchao"):
        import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401 - registers the operators


def _computes(found: Any) -> bool:
    return all(
        str(argument.type).removeprefix("Optional[").rstrip("]") != "str" or argument.name in _TEXTS
        for argument in found._schema.arguments  # noqa: SLF001
    )


def encode(value: Any) -> Any:
    """An argument as JSON; what JSON has no form for is a mapping of one key that says what it is.

    Raises:
        CompileError: there is no form for it.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, Sequence):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {"dict": [[str(key), encode(item)] for key, item in value.items()]}
    return _encode_object(value)


def _encode_object(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, slice):
        return {"slice": [encode(part) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, torch.device):
        return {"device": value.type}
    for kind, known in _CONSTANTS.items():
        name = str(value).removeprefix("torch.")
        if known.get(name) is value:
            return {kind: name}
    raise CompileError(f"an argument of type {type(value).__name__} cannot be saved")


def decode(value: Any, nodes: Mapping[str, fx.Node], depth: int = 0) -> Any:
    """The argument that `encode` wrote.

    Raises:
        BundleError: it is none.
    """
    if depth > _DEEPEST:
        raise BundleError("a graph's argument is nested too deep", expected=f"at most {_DEEPEST} levels")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [decode(item, nodes, depth + 1) for item in value]
    if not isinstance(value, dict) or len(value) != 1:
        raise BundleError(f"a graph's argument is {value!r:.60}", expected="one that was saved")
    ((kind, inner),) = value.items()
    try:
        return _decode_tagged(kind, inner, nodes, depth)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise BundleError(f"a graph's argument is {value!r:.60}", expected="one that was saved") from error


def _decode_tagged(kind: str, inner: Any, nodes: Mapping[str, fx.Node], depth: int) -> Any:
    if kind in _CONSTANTS:
        return _CONSTANTS[kind][inner]
    match kind:
        case "node":
            return nodes[inner]
        case "tuple":
            return tuple(decode(item, nodes, depth + 1) for item in inner)
        case "slice":
            start, stop, step = inner
            return slice(*(decode(part, nodes, depth + 1) for part in (start, stop, step)))
        case "dict":
            return {str(key): decode(item, nodes, depth + 1) for key, item in inner}
        case "complex":
            return complex(float(inner[0]), float(inner[1]))
    raise KeyError(kind)


def encode_tree(spec: pytree.TreeSpec) -> Any:
    """The shape of a pytree as JSON. A class that keeps its fields by name (a transformers output) becomes a mapping.

    Raises:
        CompileError: a node without such names.
    """
    if spec.is_leaf():
        return None
    children = [encode_tree(child) for child in spec.children()]
    if spec.type in (tuple, list):
        return {spec.type.__name__: children}
    keys = spec.context if isinstance(spec.context, list | tuple) else None
    if keys is not None and len(keys) == 1 and isinstance(keys[0], list | tuple):
        keys = keys[0]
    if keys is not None and len(keys) == len(children) and all(isinstance(key, str | int) for key in keys):
        return {"dict": [[key, child] for key, child in zip(keys, children, strict=True)]}
    if spec.type is not None and issubclass(spec.type, tuple):
        return {"tuple": children}
    raise CompileError(f"outputs of type {getattr(spec.type, '__name__', spec.type)} cannot be saved")


def decode_tree(value: Any, depth: int = 0) -> pytree.TreeSpec:
    """The shape that `encode_tree` wrote.

    Raises:
        BundleError: it is none.
    """
    return pytree.tree_structure(_tree(value, depth))


def _tree(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise BundleError("outputs are nested too deep", expected=f"at most {_DEEPEST} levels")
    if value is None:
        return 0
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in ("tuple", "list") and isinstance(inner, list):
            made = [_tree(child, depth + 1) for child in inner]
            return tuple(made) if kind == "tuple" else made
        if (
            kind == "dict"
            and isinstance(inner, list)
            and all(isinstance(pair, list) and len(pair) == 2 for pair in inner)
        ):
            return {key: _tree(child, depth + 1) for key, child in inner if isinstance(key, str | int)}
    raise BundleError(f"the outputs' form is {value!r:.60}", expected="tuples, lists and mappings")
