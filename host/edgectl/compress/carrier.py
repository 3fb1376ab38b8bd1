# SPDX-License-Identifier: Apache-2.0
"""The carrier of every stage: an unlifted `torch.export` graph in eval mode, with a dynamic batch where one can be had.

Training flips the literals of dropout and normalisation in place. torchao's own switch is not used: it matches patterns
whose literals it then overwrites (dropout 0.1 comes back as 0.5, batch-norm momentum and epsilon as their defaults).
"""

from __future__ import annotations

import copy
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from edgectl_protos.errors import CompileError
from torch import nn
from torch.fx import GraphModule
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

from edgectl.compress.export_faults import export_error, user_line
from edgectl.compress.reasons import first_line

aten = torch.ops.aten

# operator -> index of its `training` literal
_TRAINING_LITERAL: dict[Any, int] = {
    aten.dropout.default: 2,
    aten.dropout_.default: 2,
    aten.feature_dropout.default: 2,
    aten.alpha_dropout.default: 2,
    aten.feature_alpha_dropout.default: 2,
    aten.batch_norm.default: 5,
}
_MOMENTUM = 6
_DEFAULT_MOMENTUM = 0.1
_LOGGERS = ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes", "torch.utils._pytree")
_TOLERANCE = 1e-3  # of the largest output: an export that bakes a size in is off by far more


@dataclass(frozen=True, slots=True, eq=False)
class Carrier:
    """An exported model.

    Attributes:
        graph: takes the tensors of the model's arguments as positional ones, in the order of the flattened arguments
            (positional, then keywords); gives what the model gives, any pytree.
        example_inputs: those tensors, batch 1 where the batch is dynamic.
        dynamic_batch: whether dimension 0 of every input (that is of the example's batch size) may have any size.
        notes: what there is to say about the export.
    """

    graph: GraphModule
    example_inputs: tuple[torch.Tensor, ...]
    dynamic_batch: bool
    notes: tuple[str, ...] = ()


def export_model(
    module: nn.Module, example_inputs: Sequence[Any], example_kwargs: Mapping[str, Any] | None = None
) -> Carrier:
    """Export a model for compression.

    Args:
        module: any model; it is put into eval mode and otherwise left alone.
        example_inputs: its positional arguments: tensors of any dtype, or pytrees of them. What is no tensor is a
            constant from then on. Dimension 0 of the first tensor is the batch, and of those of its size.
        example_kwargs: its keyword arguments, treated alike.

    Raises:
        CompileError: the model does not take its example, or cannot be exported; one line that names the source.
    """
    name = type(module).__name__
    module.eval()
    flat, tensors = _flattened(_without_parametrizations(module), tuple(example_inputs), dict(example_kwargs or {}))
    _run_example(flat, tensors, name)
    batched = batched_inputs(tensors)
    single = tuple(tensor[:1] if batch else tensor for tensor, batch in zip(tensors, batched, strict=True))
    try:
        return Carrier(_export_dynamic(flat, single, batched), single, dynamic_batch=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, a fixed batch may do
        reason = first_line(error)
    try:
        graph = _export(flat, tensors, None)
    except Exception as error:
        raise export_error(name, error) from error
    notes = [f"the size of the batch is fixed at {tensors[0].shape[0] if tensors[0].ndim else 1}: {reason}"]
    if not _agree(flat, graph, tensors):
        notes.append("the exported graph and the model give other outputs for the same input: does it draw numbers?")
    return Carrier(graph, tensors, dynamic_batch=False, notes=tuple(notes))


def export_again(graph: GraphModule, example_inputs: tuple[torch.Tensor, ...], *, dynamic_batch: bool) -> GraphModule:
    """Export an edited graph, so that the shapes in its own records are those of its tensors.

    Raises:
        CompileError: it cannot be exported, or gives other outputs than before.
    """
    try:
        if dynamic_batch:
            exported = _export_dynamic(graph, example_inputs, batched_inputs(example_inputs))
        else:
            exported = _export(graph, example_inputs, None)
    except Exception as error:
        raise export_error("the edited graph", error) from error
    if not dynamic_batch and not _agree(graph, exported, example_inputs):
        raise CompileError("the edited graph gives other outputs once it is exported again")
    _keep_places(graph, exported)
    return exported


def _keep_places(graph: GraphModule, exported: GraphModule) -> None:
    """Nodes of a graph know the modules they come from; those of a graph exported from it are told, where alike."""
    before, after = ([node for node in one.graph.nodes if node.op == "call_function"] for one in (graph, exported))
    if [node.target for node in before] == [node.target for node in after]:
        for node, other in zip(before, after, strict=True):
            if "nn_module_stack" in node.meta:
                other.meta["nn_module_stack"] = node.meta["nn_module_stack"]


def _export_dynamic(module: nn.Module, single: tuple[torch.Tensor, ...], batched: tuple[bool, ...]) -> GraphModule:
    """Export with a batch of any size, and see that it computes what the model does at 1 and at 2.

    Raises:
        CompileError: it does not.
    """
    # A batch of 1 would be specialised by export; 2 stands for any.
    double = tuple(torch.cat([one, one]) if batch else one for one, batch in zip(single, batched, strict=True))
    graph = _export(module, double, tuple({0: torch.export.Dim("batch", min=1)} if batch else {} for batch in batched))
    if not _agree(module, graph, single) or not _agree(module, graph, double):
        raise CompileError("exported with a batch of any size, it gives other outputs than the model")
    return graph


def _export(
    module: nn.Module, tensors: tuple[torch.Tensor, ...], shapes: tuple[dict[int, Any], ...] | None
) -> GraphModule:
    nested = shapes if shapes is None else _nested(module, shapes)
    with torch.no_grad(), _quiet_torch():
        program = torch.export.export(module, tensors, dynamic_shapes=nested)
        graph: GraphModule = program.module(check_guards=False)
    _drop_dead_buffers(graph)
    return graph


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """What torch logs, warns of and prints as it exports is about its own insides; its errors are raised and told."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    disabled = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, before in zip(loggers, disabled, strict=True):
            logger.disabled = before


def batched_inputs(tensors: tuple[torch.Tensor, ...]) -> tuple[bool, ...]:
    """Which inputs have the batch as their dimension 0: those that agree with the first that has a dimension."""
    size = next((tensor.shape[0] for tensor in tensors if tensor.ndim), 0)
    return tuple(tensor.ndim > 0 and size > 0 and tensor.shape[0] == size for tensor in tensors)


def _run_example(module: nn.Module, tensors: tuple[torch.Tensor, ...], name: str) -> None:
    """Export would blame the model's control flow for what may be a matter of shapes: the model itself says which."""
    if not tensors:
        raise CompileError(f"{name} has no tensor among its example inputs", expected="one tensor or more")
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module(*tensors)
    except (Exception, SystemExit) as error:
        shown = ", ".join(f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}" for tensor in tensors)
        place = user_line(error)
        raise CompileError(
            f"{name} does not take its example inputs ({shown}){', at ' + place if place else ''}: {first_line(error)}",
            expected="example inputs that the model can be called with",
            action="change the example's shapes or dtypes, or the model",
        ) from error


def _agree(one: nn.Module, other: nn.Module, tensors: tuple[torch.Tensor, ...]) -> bool:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        # A graph may write to its inputs.
        left, right = (output_tensors(module(*(tensor.clone() for tensor in tensors))) for module in (one, other))
    return len(left) == len(right) and all(close_outputs(a, b, _TOLERANCE) for a, b in zip(left, right, strict=True))


def output_tensors(outputs: Any) -> tuple[torch.Tensor, ...]:
    """The tensors of a model's outputs, in the order of the flattened pytree."""
    return tuple(leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor))


def close_outputs(expected: torch.Tensor, seen: torch.Tensor, tolerance: float) -> bool:
    """Whether two outputs agree within `tolerance` of the largest that is expected; not-a-numbers agree in place."""
    if expected.shape != seen.shape or expected.dtype != seen.dtype:
        return False
    if not expected.is_floating_point():
        return bool((expected == seen).all())
    one, other = (torch.nan_to_num(value.double(), nan=0.0, posinf=1e30, neginf=-1e30) for value in (expected, seen))
    if bool((expected.isnan() != seen.isnan()).any()) or not one.numel():
        return not one.numel()
    finite = one[one.abs() < 1e29]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    return float((one - other).abs().max()) <= tolerance * max(1e-6, scale)


def _flattened(
    module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module as a function of its tensors alone, and those tensors; parameters and their names are shared."""
    leaves, spec = pytree.tree_flatten((arguments, keywords))
    tensors = tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
    if not keywords and all(isinstance(argument, torch.Tensor) for argument in arguments):
        return module, tensors
    original = type(module).forward

    def forward(self: nn.Module, *given: torch.Tensor) -> Any:
        remaining = iter(given)
        filled = [next(remaining) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        positional, named = pytree.tree_unflatten(filled, spec)
        return original(self, *positional, **named)

    flat = copy.copy(module)
    flat.__class__ = type(type(module).__name__, (type(module),), {"forward": forward})
    return flat, tensors


def _without_parametrizations(module: nn.Module) -> nn.Module:
    """A copy whose weight normalisation (and the like) is computed once: only plain weights can be cut."""
    hooked = [
        (path, hook)
        for path, layer in module.named_modules()
        for hook in layer._forward_pre_hooks.values()  # noqa: SLF001 - the older weight_norm lives in a hook
        if type(hook).__name__ in {"WeightNorm", "SpectralNorm"}
    ]
    parametrized = [path for path, layer in module.named_modules() if parametrize.is_parametrized(layer)]
    if isinstance(module, GraphModule) or not (hooked or parametrized):
        return module
    # The older form keeps the product as an attribute, with a gradient: such a tensor refuses to be copied.
    computed = [getattr(module.get_submodule(path), hook.name) for path, hook in hooked]
    plain = copy.deepcopy(module, {id(weight): weight.detach().clone() for weight in computed})
    for path in parametrized:
        layer = plain.get_submodule(path)
        weights = {name: getattr(layer, name).detach().clone() for name in layer.parametrizations}  # type: ignore[union-attr]
        # By hand: remove_parametrizations would take the property off the class, which the user's layer shares.
        layer.__class__ = parametrize.type_before_parametrizations(layer)
        del layer.parametrizations
        for name, weight in weights.items():
            layer.register_parameter(name, nn.Parameter(weight))
    for path, _ in hooked:
        layer = plain.get_submodule(path)
        remove = nn.utils.remove_weight_norm if hasattr(layer, "weight_g") else nn.utils.remove_spectral_norm
        remove(layer)
    return plain


def set_training(graph: GraphModule, *, training: bool) -> None:
    """Switch dropout and batch norm of an exported graph, in place; every other literal stays.

    Dropout inside fused attention is not in the graph (export in eval mode drops it) and does not come back.
    """
    for node in graph.graph.nodes:
        index = _TRAINING_LITERAL.get(node.target) if node.op == "call_function" else None
        if index is None:
            continue
        arguments = list(node.args)
        arguments[index] = training
        if node.target is aten.batch_norm.default and training and arguments[_MOMENTUM] == 0.0:
            arguments[_MOMENTUM] = _DEFAULT_MOMENTUM  # a cumulative average (momentum None) exports as 0: no update
        node.args = tuple(arguments)
    graph.recompile()


def _nested(module: nn.Module, shapes: tuple[dict[int, Any], ...]) -> Any:
    # A graph module's forward takes *args, so its shapes are nested one level deeper.
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    return (shapes,) if kinds and kinds[0] is inspect.Parameter.VAR_POSITIONAL else shapes


def _drop_dead_buffers(graph: GraphModule) -> None:
    """Remove reads that nothing uses (batch-norm counters), so that they never reach a program."""
    for node in list(graph.graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
