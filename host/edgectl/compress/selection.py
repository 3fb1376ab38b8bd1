# SPDX-License-Identifier: Apache-2.0
"""Which channels go: a pure choice over scores and costs.

A family is the classes of channels that occur in the same tensors equally often, so any of them may stand for another.
All classes are ranked on one scale, each score divided by its family's mean; the lowest go until the cost is down by
the amount asked. What a family keeps is rounded up to its step; a tensor, a sum of families, is then rounded too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from edgectl.compress.channels import ChannelAnalysis


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """`keep` is bool [labels]; `removed` the share of the cost that goes; `reached` whether it is the amount asked."""

    keep: torch.Tensor
    removed: float
    reached: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Family:
    """Classes that are rounded together, best first; `step` is in classes."""

    leaders: torch.Tensor
    step: int

    def kept(self, removed: int) -> torch.Tensor:
        """What stays when `removed` of the classes should go: never less than a step."""
        remaining = len(self.leaders) - removed
        return self.leaders[: max(self.step, math.ceil(remaining / self.step) * self.step)]


def select_channels(
    analysis: ChannelAnalysis,
    scores: torch.Tensor,
    *,
    amount: float,
    round_to: int,
    cost: Callable[[torch.Tensor], int],
) -> Selection:
    """The fewest classes whose removal lowers `cost(keep)` by the share `amount`, or all that may go.

    `scores` are float32 [labels], read at the leaders of classes; `amount` is above 0 and below 1; the channels a
    family keeps are a multiple of `round_to`, or as many as there were; `cost` takes bool [labels].
    """
    families, order, owner = _ranked(analysis, scores, round_to)
    total = cost(torch.ones(len(analysis.roots), dtype=torch.bool))

    def keep_after(count: int) -> torch.Tensor:
        gone = torch.bincount(owner[order[:count]], minlength=len(families)).tolist()
        leaders = torch.ones(len(analysis.roots), dtype=torch.bool)
        for family, removed in zip(families, gone, strict=True):
            leaders[family.leaders] = False
            leaders[family.kept(removed)] = True
        return leaders[analysis.roots]

    limit = (1.0 - amount) * total
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if cost(keep_after(middle)) <= limit:
            high = middle
        else:
            low = middle + 1
    keep = keep_after(low)
    left = cost(keep)
    return Selection(keep=keep, removed=1.0 - left / max(total, 1), reached=left <= limit)


def _ranked(
    analysis: ChannelAnalysis, scores: torch.Tensor, round_to: int
) -> tuple[list[_Family], torch.Tensor, torch.Tensor]:
    """The families, the order in which classes go, and the family of each class in that order's numbering."""
    leaders = analysis.removable
    count = len(analysis.roots)
    uses = torch.stack([torch.bincount(analysis.roots[item.labels], minlength=count) for item in analysis.bindings])
    signatures, owner = torch.unique(uses[:, leaders], dim=1, return_inverse=True)
    families, relative = [], torch.zeros(len(leaders))
    for index, signature in enumerate(signatures.t()):
        members = torch.nonzero(owner == index).flatten()
        own = scores[leaders[members]]
        relative[members] = own / own.mean().clamp_min(1e-12)
        best_first = members[torch.argsort(own, descending=True, stable=True)]
        width = int(signature[signature > 0].min()) if bool(signature.any()) else 1
        families.append(_Family(leaders[best_first], step=max(1, round_to // math.gcd(round_to, width))))
    return families, torch.argsort(relative, stable=True), owner
