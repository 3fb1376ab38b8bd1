# SPDX-License-Identifier: Apache-2.0
"""A split into several outputs as slices: XNNPACK takes these, in float and in int8, and not the split."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.quantize.layers import is_call

aten = torch.ops.aten

_SPLITS = frozenset({aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default})


def split_into_slices(graph: GraphModule) -> int:
    """Replace, in place, each split of fixed sizes whose outputs are taken by number; return how many."""
    count = sum(_replaced(graph.graph, node) for node in list(graph.graph.nodes) if is_call(node, _SPLITS))
    if count:
        graph.graph.lint()
        graph.recompile()
    return count


def _replaced(graph: fx.Graph, node: fx.Node) -> bool:
    parts: Any = node.meta.get("val")
    source: Any = node.args[0]
    given: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0)
    if not isinstance(parts, list | tuple) or not isinstance(source, fx.Node) or not isinstance(given, int):
        return False
    dim = given % parts[0].ndim
    sizes = [part.shape[dim] for part in parts]
    takers = list(node.users)
    if not all(type(size) is int for size in sizes) or not all(user.target is operator.getitem for user in takers):
        return False
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    for taker in takers:
        index: Any = taker.args[1]
        with graph.inserting_before(node):
            start, end = ends[index] - sizes[index], ends[index]
            part = graph.call_function(aten.slice.Tensor, (source, dim, start, end))
        part.meta = {**taker.meta, "val": parts[index]}
        taker.replace_all_uses_with(part)
        graph.erase_node(taker)
    graph.erase_node(node)
    return True
