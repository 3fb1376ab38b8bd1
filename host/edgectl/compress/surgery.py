# SPDX-License-Identifier: Apache-2.0
"""Cuts channels out of a graph: slices parameters and buffers, says hard-coded sizes anew."""

from __future__ import annotations

import torch
from torch import nn
from torch.fx import GraphModule

from edgectl.compress.channels import COLUMNS, ChannelAnalysis


def named_tensor(graph: GraphModule, name: str) -> torch.Tensor:
    """The parameter or buffer at a dotted name."""
    path, _, leaf = name.rpartition(".")
    tensor: torch.Tensor = getattr(graph.get_submodule(path), leaf)
    return tensor


def cut_channels(graph: GraphModule, analysis: ChannelAnalysis, keep: torch.Tensor) -> None:
    """Remove, in place, every channel whose label is False in `keep` (bool [labels])."""
    replaced: dict[str, torch.Tensor] = {}
    for binding in analysis.bindings:
        tensor = replaced.get(binding.tensor, named_tensor(graph, binding.tensor).detach())
        size = named_tensor(graph, binding.tensor).shape[binding.dim]
        if tensor.shape[binding.dim] == size:  # a tensor used twice is bound twice
            kept = torch.nonzero(keep[binding.labels]).flatten()
            replaced[binding.tensor] = tensor.index_select(binding.dim, kept).contiguous()
    shared: dict[str, torch.Tensor | nn.Parameter] = {}
    for name, source in analysis.tensors.items():
        if source in replaced:
            _replace(graph, name, shared.setdefault(source, _alike(graph, name, replaced[source])))
    rewrites = {rewrite.node: rewrite for rewrite in analysis.rewrites}
    for node in graph.graph.nodes:
        if node.name in rewrites:
            rewrites[node.name].apply(node, keep)
    graph.recompile()


def zero_columns(graph: GraphModule, analysis: ChannelAnalysis, keep: torch.Tensor) -> None:
    """Make consumers ignore, in place, the channels that a cut would remove: what a cut graph must compute."""
    with torch.no_grad():
        for binding in analysis.bindings:
            if binding.role == COLUMNS:
                removed = torch.nonzero(~keep[binding.labels]).flatten()
                named_tensor(graph, binding.tensor).index_fill_(binding.dim, removed, 0.0)


def _alike(graph: GraphModule, name: str, value: torch.Tensor) -> torch.Tensor | nn.Parameter:
    old = named_tensor(graph, name)
    return nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else value


def _replace(graph: GraphModule, name: str, value: torch.Tensor | nn.Parameter) -> None:
    path, _, leaf = name.rpartition(".")
    setattr(graph.get_submodule(path), leaf, value)
