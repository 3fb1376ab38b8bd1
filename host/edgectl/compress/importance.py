# SPDX-License-Identifier: Apache-2.0
"""How much a class of coupled channels matters: a score per class, comparable within its family."""

from __future__ import annotations

import torch
from torch.fx import GraphModule

from edgectl.compress.channels import ROWS, ChannelAnalysis
from edgectl.compress.surgery import named_tensor


def channel_scores(
    graph: GraphModule, analysis: ChannelAnalysis, *, importance: str, generator: torch.Generator
) -> torch.Tensor:
    """A score per label, float32 [labels], meaningful at the leaders of classes.

    `group_magnitude` is the L2 norm of every weight that goes with the class: filters, norms' scales, consumers'
    columns (after Fang et al. 2023, DepGraph); `magnitude` takes the filters alone; `random` draws.
    """
    count = len(analysis.roots)
    if importance == "random":
        return torch.rand(count, generator=generator)
    squares = torch.zeros(count)
    parameters = {name for name, _ in graph.named_parameters(remove_duplicate=False)}
    for binding in analysis.bindings:
        if binding.tensor not in parameters or (importance == "magnitude" and binding.role != ROWS):
            continue
        weight = named_tensor(graph, binding.tensor).detach().float()
        others = [dim for dim in range(weight.ndim) if dim != binding.dim]
        slices = weight.square().sum(dim=others) if others else weight.square()
        squares.index_add_(0, analysis.roots[binding.labels], slices)
    return squares.sqrt()
