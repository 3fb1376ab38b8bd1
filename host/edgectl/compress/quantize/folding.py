# SPDX-License-Identifier: Apache-2.0
"""Batch norm into the convolution or linear layer before it (Jacob et al. 2018, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.quantize.layers import (
    TRANSPOSED,
    WEIGHTED,
    bias_name,
    is_call,
    place_of,
    put_tensor,
    tensor_at,
    weight_name,
)

aten = torch.ops.aten

SOURCE = "edgectl_source"  # in a folded layer's meta: the operator of the float graph whose output it gives
_TRAINING, _EPSILON = 5, 7


@dataclass(frozen=True, slots=True)
class Normalization:
    """A batch norm in eval mode as a scale and a shift per channel: float32 [channels] each."""

    scale: torch.Tensor
    shift: torch.Tensor


def batch_norm_after(node: fx.Node) -> fx.Node | None:
    """The batch norm that is a layer's only consumer."""
    users = list(node.users)
    if len(users) != 1 or not is_call(users[0], frozenset({aten.batch_norm.default})):
        return None
    return users[0] if users[0].args[0] is node else None


def normalization_of(graph: GraphModule, norm: fx.Node) -> Normalization | None:
    """What a batch norm computes in eval mode; None where its tensors are not constants."""
    tensors: list[torch.Tensor | None] = []
    for argument in norm.args[1:5]:
        if argument is None:
            tensors.append(None)
        elif isinstance(argument, fx.Node) and argument.op == "get_attr":
            tensors.append(tensor_at(graph, str(argument.target)).detach())
        else:
            return None
    weight, bias, mean, variance = tensors
    if mean is None or variance is None:
        return None
    inverse = torch.rsqrt(variance + float(norm.args[_EPSILON]))  # type: ignore[arg-type]
    scale = inverse if weight is None else weight * inverse
    shift = -mean * scale
    return Normalization(scale, shift if bias is None else shift + bias)


def fold_batch_norms(graph: GraphModule) -> int:
    """Fold each batch norm in eval mode that follows a layer with a weight of its own, in place; return how many.

    The layer keeps the names of its parameters and gains a bias called `PLACE.bias` where it had none. A weight used
    twice is left alone.
    """
    uses: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            uses[str(node.target)] = uses.get(str(node.target), 0) + len(node.users)
    count = sum(_folded(graph, node, uses) for node in list(graph.graph.nodes) if is_call(node, WEIGHTED))
    if count:
        graph.graph.eliminate_dead_code()
        graph.delete_all_unused_submodules()
        graph.recompile()
    return count


def _folded(graph: GraphModule, node: fx.Node, uses: dict[str, int]) -> bool:
    norm, weight, bias = batch_norm_after(node), weight_name(node), bias_name(node)
    if norm is None or weight is None or uses[weight] != 1 or norm.args[_TRAINING]:
        return False
    has_bias = len(node.args) > 2 and node.args[2] is not None
    if (has_bias and bias is None) or (bias is not None and uses[bias] != 1):
        return False
    normalization = normalization_of(graph, norm)
    if normalization is None:
        return False
    kernel = tensor_at(graph, weight).detach()
    put_tensor(graph, weight, scaled_kernel(kernel, normalization.scale, node))
    shift = normalization.shift if bias is None else normalization.shift + normalization.scale * tensor_at(graph, bias)
    name = bias or f"{place_of(node)}.bias"
    put_tensor(graph, name, shift.detach(), parameter=True)
    if bias is None:
        _give_bias(graph, node, name, norm)
    node.meta = {**node.meta, "val": norm.meta.get("val", node.meta.get("val")), SOURCE: source_of(norm)}
    norm.replace_all_uses_with(node)
    graph.graph.erase_node(norm)
    return True


def scaled_kernel(kernel: torch.Tensor, scale: torch.Tensor, node: fx.Node) -> torch.Tensor:
    """A kernel whose output channels are multiplied by `scale` [channels]."""
    if not is_call(node, TRANSPOSED):
        return kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    groups = int(node.args[6]) if len(node.args) > 6 else 1  # type: ignore[arg-type]
    inputs, outputs = kernel.shape[0] // groups, kernel.shape[1]
    by_group = kernel.reshape(groups, inputs, outputs, *kernel.shape[2:])
    scaled = by_group * scale.reshape(groups, 1, outputs, *[1] * (kernel.ndim - 2))
    return scaled.reshape(kernel.shape)


def source_of(node: fx.Node) -> str:
    """The name of the operator of the float graph whose output a node gives."""
    return str(node.meta.get(SOURCE, node.name))


def _give_bias(graph: GraphModule, node: fx.Node, name: str, norm: fx.Node) -> None:
    with graph.graph.inserting_before(node):
        bias = graph.graph.get_attr(name)
    running = norm.args[3]
    value = running.meta.get("val") if isinstance(running, fx.Node) else None
    bias.meta = {"val": value if value is not None else tensor_at(graph, name)}
    arguments = list(node.args)
    arguments[2:3] = [bias]
    node.args = tuple(arguments)
