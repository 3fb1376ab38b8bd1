# SPDX-License-Identifier: Apache-2.0
"""Cuts channels out of a graph: slices parameters and buffers, says hard-coded sizes anew."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.fx import GraphModule

from edgectl.compress.structured.analysis import COLUMNS, ChannelAnalysis

aten = torch.ops.aten


def named_tensor(graph: GraphModule, name: str) -> torch.Tensor:
    """The parameter or buffer at a dotted name."""
    path, _, leaf = name.rpartition(".")
    tensor: torch.Tensor = getattr(graph.get_submodule(path), leaf)
    return tensor


def cut_channels(graph: GraphModule, analysis: ChannelAnalysis, keep: torch.Tensor) -> None:
    """Remove, in place, every channel whose label is False in `keep` (bool [labels])."""
    whole = {name: named_tensor(graph, name).detach() for name in analysis.tensors.values()}
    shared: dict[str, torch.Tensor | nn.Parameter] = {}
    cut = cut_tensors(whole, analysis, keep)
    for name, source in analysis.tensors.items():
        if source in cut:
            _replace(graph, name, shared.setdefault(source, _alike(graph, name, cut[source])))
    nodes = {node.name: node for node in graph.graph.nodes}
    for rewrite in analysis.rewrites:
        rewrite.apply(nodes[rewrite.node], keep)
    graph.recompile()


def cut_tensors(
    tensors: Mapping[str, torch.Tensor], analysis: ChannelAnalysis, keep: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Those of the named tensors (parameters, or masks of their shape) that lose something, cut and contiguous."""
    cut: dict[str, torch.Tensor] = {}
    done: set[tuple[str, int]] = set()
    for binding in analysis.bindings:
        source = tensors.get(binding.tensor)
        kept = torch.nonzero(keep[binding.labels]).flatten()
        if source is None or (binding.tensor, binding.dim) in done or len(kept) == len(binding.labels):
            continue
        done.add((binding.tensor, binding.dim))  # a tensor used twice is bound twice
        cut[binding.tensor] = cut.get(binding.tensor, source).index_select(binding.dim, kept).contiguous()
    return cut


def zero_columns(graph: GraphModule, analysis: ChannelAnalysis, keep: torch.Tensor) -> None:
    """Make consumers ignore, in place, the channels that a cut would remove: what a cut graph must compute.

    The consumers are columns of weights, and sums of products of two activations, one of which is masked.
    """
    with torch.no_grad():
        for binding in analysis.bindings:
            if binding.role == COLUMNS:
                removed = torch.nonzero(~keep[binding.labels]).flatten()
                named_tensor(graph, binding.tensor).index_fill_(binding.dim, removed, 0.0)
    nodes = {node.name: node for node in graph.graph.nodes}
    for index, contraction in enumerate(analysis.contractions):
        kept = keep[contraction.labels]
        if bool(kept.all()):
            continue
        node, name = nodes[contraction.node], f"_mask_{index}"
        operand = nodes[contraction.source]
        rank = len(operand.meta["val"].shape)
        shape = [-1 if dim == contraction.dim else 1 for dim in range(rank)]
        graph.register_buffer(name, kept.to(torch.float32).reshape(shape))
        with graph.graph.inserting_before(node):
            masked = graph.graph.call_function(aten.mul.Tensor, (operand, graph.graph.get_attr(name)))
        node.replace_input_with(operand, masked)
    graph.recompile()


def _alike(graph: GraphModule, name: str, value: torch.Tensor) -> torch.Tensor | nn.Parameter:
    old = named_tensor(graph, name)
    return nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else value


def _replace(graph: GraphModule, name: str, value: torch.Tensor | nn.Parameter) -> None:
    path, _, leaf = name.rpartition(".")
    setattr(graph.get_submodule(path), leaf, value)
