# SPDX-License-Identifier: Apache-2.0
"""A graph that computes in float16 between float32 inputs and outputs.

XNNPACK computes in float16 where its inputs are; it does not convert, so the two casts at the ends stay outside. A
single layer in float16 would be a cast on each side: the scheme is for the whole model.
"""

from __future__ import annotations

import torch
from torch import fx
from torch.fx import GraphModule
from torch.fx.node import map_arg

from edgectl.compress.quantize.folding import fold_batch_norms
from edgectl.compress.state import ModelState

_CONVERT = torch.ops.aten._to_copy.default  # noqa: SLF001 - an operator's name


def to_half(state: ModelState) -> GraphModule:
    """The state's graph in float16; literals of dtype float32 in it become float16 too."""
    graph = state.copied_graph()
    fold_batch_norms(graph)
    for tensors in (graph.named_parameters(), graph.named_buffers()):
        for _, tensor in tensors:
            if tensor.dtype == torch.float32:
                tensor.data = tensor.data.half()
    for node in list(graph.graph.nodes):
        if node.op == "call_function":
            node.args = _halved(node.args)
            node.kwargs = _halved(node.kwargs)
        elif node.op == "placeholder" and _is_float(node):
            _cast_input(graph, node)
        elif node.op == "output":
            _cast_outputs(graph, node)
    graph.recompile()
    return graph


def _halved(value: object) -> object:
    if value is torch.float32:
        return torch.float16
    if isinstance(value, dict):
        return {key: _halved(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_halved(one) for one in value)
    return value


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _cast_input(graph: GraphModule, node: fx.Node) -> None:
    users = list(node.users)
    if not users:
        return
    with graph.graph.inserting_after(node):
        cast = graph.graph.call_function(_CONVERT, (node,), {"dtype": torch.float16})
    for user in users:
        user.replace_input_with(node, cast)


def _cast_outputs(graph: GraphModule, node: fx.Node) -> None:
    def cast(value: fx.Node) -> fx.Node:
        if not _is_float(value):
            return value
        with graph.graph.inserting_before(node):
            return graph.graph.call_function(_CONVERT, (value,), {"dtype": torch.float32})

    node.args = map_arg(node.args, cast)
