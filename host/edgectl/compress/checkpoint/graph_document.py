# SPDX-License-Identifier: Apache-2.0
"""A graph as JSON beside its tensors by name, and back: the same nodes under the same names, so the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from edgectl_protos.errors import BundleError, CompileError
from torch import fx, nn
from torch._subclasses import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.graph import _PyTreeCodeGen, _PyTreeInfo
from torch.fx.passes.fake_tensor_prop import FakeTensorProp
from torch.utils import _pytree as pytree

from edgectl.compress.carrier import export_again
from edgectl.compress.checkpoint.values import decode, decode_tree, encode, encode_tree, target_name, target_of
from edgectl.compress.reasons import first_line

MOST_NODES = 200_000
_OPERATIONS = frozenset({"placeholder", "get_attr", "call_function", "output"})
_STACK = "nn_module_stack"


def graph_document(graph: GraphModule) -> dict[str, Any]:
    """Nodes, submodules and the form of the outputs.

    Raises:
        CompileError: an operator, argument or output that cannot be saved.
    """
    codegen = graph.graph._codegen  # noqa: SLF001 - the pytree of an exported graph is kept there alone
    info = codegen.pytree_info if isinstance(codegen, _PyTreeCodeGen) else None
    return {
        "nodes": [_node_document(node) for node in graph.graph.nodes],
        "submodules": {
            name: graph_document(child) for name, child in graph.named_children() if isinstance(child, GraphModule)
        },
        "outputs": encode_tree(info.out_spec) if info is not None and info.out_spec is not None else None,
        "pytree": info is not None,
    }


def graph_tensors(graph: GraphModule) -> dict[str, torch.Tensor]:
    """Every tensor that the graph reads, by its path; tied ones under each of their names."""
    parameters = dict(graph.named_parameters(remove_duplicate=False))
    found = {name: parameter.detach() for name, parameter in parameters.items()}
    found |= dict(graph.named_buffers(remove_duplicate=False))
    for prefix, module in graph.named_modules():
        if isinstance(module, GraphModule):
            for node in module.graph.nodes:
                if node.op == "get_attr":
                    value = _attribute(module, node.target)
                    name = f"{prefix}.{node.target}" if prefix else node.target
                    if isinstance(value, torch.Tensor):
                        found.setdefault(name, value.detach())
    return found


def parameter_names(graph: GraphModule) -> list[str]:
    """Which of the tensors are parameters."""
    return [name for name, _ in graph.named_parameters(remove_duplicate=False)]


def restored_graph(
    document: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    *,
    parameters: frozenset[str],
    example_inputs: tuple[torch.Tensor, ...],
    dynamic_batch: bool,
) -> GraphModule:
    """The graph of a document, exported again so that its nodes know their shapes, under its own names.

    Raises:
        BundleError: the document is not one that `graph_document` wrote, or does not fit its tensors.
    """
    try:
        plain = _built(document, tensors, parameters, depth=0)
        _with_shapes(plain, example_inputs)
    except BundleError:
        raise
    except Exception as error:
        seen = f"the saved graph cannot be built: {first_line(error)}"
        raise BundleError(seen, expected="one that was saved") from error
    try:
        exported = export_again(plain, example_inputs, dynamic_batch=dynamic_batch)
    except CompileError:
        return plain  # it runs; only its shapes are those of the example
    return exported if _name_as_saved(exported, plain) else plain


def _with_shapes(graph: GraphModule, example_inputs: tuple[torch.Tensor, ...]) -> None:
    """Run the graph on tensors without data, so that each node knows its shape and dtype."""
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        FakeTensorProp(graph, mode).propagate(*example_inputs)


def _name_as_saved(exported: GraphModule, plain: GraphModule) -> bool:
    """Ranges are kept by the names of nodes, layers by the modules that they came of: export may give new ones."""
    saved = [node for node in plain.graph.nodes if node.op == "call_function"]
    made = [node for node in exported.graph.nodes if node.op == "call_function"]
    if [node.target for node in saved] != [node.target for node in made]:
        return False
    for node, one in zip(made, saved, strict=True):
        node.name = one.name
        node.meta[_STACK] = one.meta.get(_STACK, {})
    names = [node.name for node in exported.graph.nodes]
    if len(set(names)) != len(names):
        return False
    exported.recompile()
    return True


def _node_document(node: fx.Node) -> dict[str, Any]:
    if node.op not in _OPERATIONS:
        raise CompileError(f"the node {node.name} is a {node.op}", expected="an exported graph")
    document: dict[str, Any] = {"op": node.op, "name": node.name}
    document["target"] = target_name(node.target) if node.op == "call_function" else str(node.target)
    if node.op in ("call_function", "output"):
        document |= {"args": encode(tuple(node.args)), "kwargs": encode(dict(node.kwargs))}
    stack = node.meta.get(_STACK)
    if isinstance(stack, Mapping) and stack:
        document["stack"] = [[str(key), str(entry[0]), str(entry[1])] for key, entry in stack.items()]
    return document


def _built(
    document: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], parameters: frozenset[str], *, depth: int
) -> GraphModule:
    nodes, submodules = document["nodes"], document["submodules"]
    if not isinstance(nodes, list) or len(nodes) > MOST_NODES or not isinstance(submodules, dict) or depth > 4:
        raise BundleError("the saved graph has no list of nodes", expected=f"at most {MOST_NODES}")
    root = nn.Module()
    for name, child in submodules.items():
        below = {key.removeprefix(f"{name}."): one for key, one in tensors.items() if key.startswith(f"{name}.")}
        own = frozenset(key.removeprefix(f"{name}.") for key in parameters if key.startswith(f"{name}."))
        root.add_module(name, _built(child, below, own, depth=depth + 1))
    for name, tensor in tensors.items():
        if name.partition(".")[0] not in submodules:
            _put(root, name, tensor, parameter=name in parameters)
    graph = fx.Graph()
    known: dict[str, fx.Node] = {}
    for entry in nodes:
        node = _add_node(graph, entry, known)
        known[node.name] = node
    if document["pytree"] is True:
        inputs = [node.name for node in graph.nodes if node.op == "placeholder"]
        in_spec = pytree.tree_structure((tuple(0 for _ in inputs), {}))
        graph.set_codegen(_PyTreeCodeGen(_PyTreeInfo(inputs, in_spec, decode_tree(document["outputs"]))))
    graph.lint()
    return GraphModule(root, graph)


def _add_node(graph: fx.Graph, entry: Any, known: Mapping[str, fx.Node]) -> fx.Node:
    operation, name = entry["op"], entry["name"]
    if operation not in _OPERATIONS or not isinstance(name, str) or not name.isidentifier() or name in known:
        raise BundleError(f"a node {name!r:.40} that is a {operation!r:.40}", expected="one that was saved")
    target = target_of(entry["target"]) if operation == "call_function" else entry["target"]
    if operation != "call_function" and (
        not isinstance(target, str) or not all(part.isidentifier() or part.isdigit() for part in target.split("."))
    ):
        raise BundleError(f"the node {name} reads {target!r:.60}", expected="a tensor's name")
    args = decode(entry["args"], known) if "args" in entry else ()
    kwargs = decode(entry["kwargs"], known) if "kwargs" in entry else {}
    node = graph.create_node(operation, target, args, kwargs, name=name)
    if node.name != name:
        raise BundleError(f"the node's name {name!r:.60} cannot be given", expected="one that torch gave")
    stack = entry.get("stack", [])
    node.meta[_STACK] = {str(key): (str(path), str(kind)) for key, path, kind in stack}
    return node


def _put(root: nn.Module, name: str, tensor: torch.Tensor, *, parameter: bool) -> None:
    *path, last = name.split(".")
    if not all(part and not part.startswith("__") for part in (*path, last)):
        raise BundleError(f"a tensor is called {name!r:.60}", expected="a parameter's or buffer's name")
    module = root
    for part in path:
        if part not in module._modules:  # noqa: SLF001 - getattr would find methods of nn.Module too
            module.add_module(part, nn.Module())
        child = module._modules[part]  # noqa: SLF001
        if child is None:
            raise BundleError(f"a tensor is called {name!r:.60}", expected="a parameter's or buffer's name")
        module = child
    if parameter:
        module.register_parameter(last, tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, False))  # noqa: FBT003
    else:
        module.register_buffer(last, tensor)


def _attribute(module: nn.Module, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found
