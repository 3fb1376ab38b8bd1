# SPDX-License-Identifier: Apache-2.0
"""Sparsity that rises while a model is trained: magnitude or movement decides, a cubic says how much."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.fx import GraphModule

from edgectl.compress.sparse.masks import cubic_sparsity, pattern_masks, share_masks
from edgectl.compress.stages import Sparsify
from edgectl.compress.training.optimize import apply_masks


class GradualSparsity:
    """A `TrainingHook` that updates masks along the ramp and keeps what they cover at zero.

    Movement (Sanh, Wolf, Rush 2020): a weight's score falls by weight times gradient at each step, so that those which
    move away from zero stay. A weight that has gone does not come back: the paper's keeps its value behind the mask.

    Args:
        parameters: of the stage.
        names: the parameters that lose weights.
        masks: those there are already; what they cover stays zero.
    """

    def __init__(self, parameters: Sparsify, names: tuple[str, ...], masks: Mapping[str, torch.Tensor]) -> None:
        self._parameters = parameters
        self._names = names
        self._before = {name: masks[name] for name in names if name in masks}
        self._movement: dict[str, torch.Tensor] = {}
        self._updates = 0
        self.masks: dict[str, torch.Tensor] = dict(masks)

    def before_step(self, graph: GraphModule, share: float) -> None:  # noqa: ARG002
        """Add to the movement scores."""
        if self._parameters.criterion != "movement":
            return
        weights = dict(graph.named_parameters())
        for name in self._names:
            weight = weights[name]
            if weight.grad is not None:
                moved = -(weight.detach() * weight.grad)
                self._movement[name] = self._movement[name] + moved if name in self._movement else moved

    def after_step(self, graph: GraphModule, share: float) -> None:
        """Update the masks where one is due, and put zeros under them."""
        ramp = self._parameters.ramp
        along = min(1.0, share / ramp) if ramp else 1.0
        due = int(along * self._parameters.updates)
        if due > self._updates:
            self._updates = due
            self.update(graph, along)
        apply_masks(graph, self.masks)

    def update(self, graph: GraphModule, along: float) -> None:
        """New masks for `along` (0 to 1) of the ramp, put onto the graph."""
        scores = self._scores(graph)
        if self._parameters.pattern is not None:
            if along < 1.0:
                return
            kept, of = map(int, self._parameters.pattern.split(":"))
            self.masks |= pattern_masks(scores, kept, of)
        elif self._parameters.sparsity is not None:
            wanted = cubic_sparsity(self._parameters.sparsity, along)
            self.masks |= share_masks(scores, wanted, scope=self._parameters.scope)
        for name, before in self._before.items():
            self.masks[name] = self.masks[name] & before
        apply_masks(graph, self.masks)

    def _scores(self, graph: GraphModule) -> dict[str, torch.Tensor]:
        weights = dict(graph.named_parameters())
        scores = {}
        for name in self._names:
            weight = weights[name].detach()
            score = self._movement.get(name, weight.abs()).to("cpu", torch.float32)
            mask = self.masks.get(name)
            scores[name] = score if mask is None else score.masked_fill(~mask, float("-inf"))
        return scores
