# SPDX-License-Identifier: Apache-2.0
"""What a choice of channels would leave of a model, computed from the labels: MACs, parameters, channels, bytes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from edgectl.compress.mac_count import macs
from edgectl.compress.state import ModelState, parameter_count
from edgectl.compress.structured.analysis import ROWS, ChannelAnalysis
from edgectl.compress.structured.surgery import named_tensor

Cost = Callable[[torch.Tensor], int]


class _Sizes:
    """The elements of every bound tensor that are left, for one choice at a time."""

    def __init__(self, state: ModelState, analysis: ChannelAnalysis) -> None:
        self.shapes = {name: named_tensor(state.graph, name).shape for name in set(analysis.tensors.values())}
        self.bound: dict[str, dict[int, torch.Tensor]] = {}
        for binding in analysis.bindings:
            self.bound.setdefault(binding.tensor, {})[binding.dim] = binding.labels

    def elements(self, name: str, keep: torch.Tensor) -> int:
        dims = self.bound.get(name, {})
        kept = (int(keep[dims[dim]].sum()) if dim in dims else size for dim, size in enumerate(self.shapes[name]))
        return math.prod(kept)


def cost_of(state: ModelState, analysis: ChannelAnalysis, unit: str) -> Cost:
    """The cost in `unit` (macs, parameters, channels, bytes) of what `keep` (bool [labels]) leaves.

    Work and weights that no label touches are counted as they are. Bytes are those of parameters and buffers.
    """
    sizes = _Sizes(state, analysis)
    everything = torch.ones(len(analysis.members), dtype=torch.bool)
    if unit == "macs":
        return _macs(state, analysis, sizes, everything)
    if unit == "channels":
        rows = [binding.labels for binding in analysis.bindings if binding.role == ROWS]
        return lambda keep: sum(int(keep[labels].sum()) for labels in rows)
    learned = {analysis.tensors[name] for name, _ in state.graph.named_parameters() if name in analysis.tensors}
    if unit == "parameters":
        weights, other, width = dict.fromkeys(learned, 1), parameter_count(state), 1
    else:
        weights = {name: named_tensor(state.graph, name).element_size() for name in set(analysis.tensors.values())}
        tensors = [*state.graph.parameters(), *state.graph.buffers()]
        other, width = sum(tensor.numel() * tensor.element_size() for tensor in tensors), 1
    other -= sum(times * sizes.elements(name, everything) for name, times in weights.items()) * width
    return lambda keep: other + sum(times * sizes.elements(name, keep) for name, times in weights.items())


def _macs(state: ModelState, analysis: ChannelAnalysis, sizes: _Sizes, everything: torch.Tensor) -> Cost:
    def labelled(keep: torch.Tensor) -> int:
        total = 0
        for work in analysis.work:
            weight = 1 if work.weight is None else sizes.elements(work.weight, keep)
            total += work.times * weight * math.prod(int(keep[extent].sum()) for extent in work.extents)
        return total

    other = macs(state) - labelled(everything)
    return lambda keep: other + labelled(keep)
