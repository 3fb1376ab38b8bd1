# SPDX-License-Identifier: Apache-2.0
"""The operators of an exported graph that XNNPACK can quantize, and the place each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

aten = torch.ops.aten

CONVOLUTIONS = frozenset({aten.conv1d.default, aten.conv2d.default})
TRANSPOSED = frozenset({aten.conv_transpose1d.default, aten.conv_transpose2d.input})
LINEAR = frozenset({aten.linear.default})
WEIGHTED = CONVOLUTIONS | TRANSPOSED | LINEAR
WEIGHTLESS = frozenset(
    {
        aten.add.Tensor,
        aten.add_.Tensor,
        aten.mul.Tensor,
        aten.mul_.Tensor,
        aten.cat.default,
        aten.adaptive_avg_pool2d.default,
    }
)


def is_call(node: object, targets: frozenset[Any]) -> bool:
    """Whether a node calls one of `targets`."""
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target in targets


def weight_name(node: fx.Node) -> str | None:
    """The name of the parameter that a convolution or linear layer multiplies with; None where it is computed."""
    weight = node.args[1] if len(node.args) > 1 else None
    return str(weight.target) if isinstance(weight, fx.Node) and weight.op == "get_attr" else None


def bias_name(node: fx.Node) -> str | None:
    """The name of a layer's bias; None where it has none, or computes it."""
    bias = node.args[2] if len(node.args) > 2 else None
    return str(bias.target) if isinstance(bias, fx.Node) and bias.op == "get_attr" else None


def place_of(node: fx.Node) -> str:
    """A layer's place: where its weight lives; for others the module they came from, else their own name."""
    name = weight_name(node) if is_call(node, WEIGHTED) else None
    if name is not None:
        return name.rpartition(".")[0] or name
    return _module_path(node.meta.get("nn_module_stack")) or node.name


def _module_path(stack: object) -> str:
    """The innermost module of a node's `nn_module_stack`; empty where there is none."""
    if not isinstance(stack, Mapping):
        return ""
    for entry in reversed(list(stack.values())):
        path = str(entry[0]) if isinstance(entry, tuple) and entry else ""
        path = path.removeprefix("L['self'].").removeprefix("L__self__.")
        if path and path not in ("L['self']", "L__self__"):
            return path
    return ""


def weighted_layers(graph: GraphModule) -> dict[str, list[fx.Node]]:
    """Places of convolutions and linear layers, in the graph's order, with the nodes that compute them."""
    found: dict[str, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if is_call(node, WEIGHTED) and weight_name(node) is not None:
            found.setdefault(place_of(node), []).append(node)
    return found


def tensor_at(graph: GraphModule, name: str) -> torch.Tensor:
    """The parameter or buffer called `name`."""
    owner, _, attribute = name.rpartition(".")
    tensor = getattr(graph.get_submodule(owner), attribute)
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} is a {type(tensor).__name__}")
    return tensor


def put_tensor(graph: GraphModule, name: str, tensor: torch.Tensor, *, parameter: bool = False) -> None:
    """Set the parameter or buffer called `name`, of the kind that it is, or make it."""
    owner, _, attribute = name.rpartition(".")
    module: torch.nn.Module = graph
    for part in owner.split(".") if owner else ():
        if not hasattr(module, part):
            module.add_module(part, torch.nn.Module())
        module = getattr(module, part)
    present = getattr(module, attribute, None)
    if parameter or isinstance(present, torch.nn.Parameter):
        module.register_parameter(attribute, torch.nn.Parameter(tensor.contiguous(), requires_grad=False))
    else:
        module.register_buffer(attribute, tensor.contiguous())


def is_float_tensor(node: object) -> bool:
    """Whether a node gives one float32 tensor."""
    value = getattr(node, "meta", {}).get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32
