# SPDX-License-Identifier: Apache-2.0
"""Families of atoms, their tiles, and the order in which tiles go.

A family is the atoms that occur in the same tensors equally often, so any of them may stand for another. It loses whole
tiles, the weakest atoms first, and keeps one tile at least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgectl.compress.structured.analysis import ChannelAnalysis

_HASH_SEED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Atoms that are rounded together, weakest first, with their scores; a tile is `step` of them."""

    leaders: torch.Tensor
    scores: torch.Tensor
    step: int

    @property
    def tiles(self) -> int:
        """How many tiles may go: what is left is a multiple of the step, and not nothing."""
        return max(0, math.ceil(len(self.leaders) / self.step) - 1)

    def removed(self, tiles: int) -> torch.Tensor:
        """The leaders that go with so many tiles."""
        if not tiles:
            return self.leaders[:0]
        left = (math.ceil(len(self.leaders) / self.step) - tiles) * self.step
        return self.leaders[: len(self.leaders) - left]


def families_of(
    analysis: ChannelAnalysis, scores: torch.Tensor, *, round_to: int, spared: torch.Tensor
) -> list[Family]:
    """The families of the atoms that may go and are not spared; scores are float32 [labels], read at the leaders."""
    leaders = analysis.removable
    leaders = leaders[~torch.isin(leaders, spared)]
    signature, width = _occurrences(analysis, leaders)
    families = []
    for name in torch.unique(signature):
        members = torch.nonzero(signature == name).flatten()
        weakest = members[torch.argsort(scores[leaders[members]], stable=True)]
        step = _step(len(members), int(width[members].min()), round_to)
        families.append(Family(leaders[weakest], scores[leaders[weakest]], step))
    return families


def global_order(families: Sequence[Family], *, lamp: bool) -> list[int]:
    """The family of each tile, weakest tile first.

    All families are ranked on one scale: each score over its family's mean, or the score of Lee et al. 2021 (arXiv
    2010.07611), its square over the sum of those that are no weaker.
    """
    ranked: list[tuple[float, int, int]] = []
    for index, family in enumerate(families):
        squares = family.scores.square()
        scale = squares.flip(0).cumsum(0).flip(0) if lamp else family.scores.mean()
        comparable = (squares if lamp else family.scores) / scale.clamp_min(1e-12)
        ends = ((tile, len(family.removed(tile)) - 1) for tile in range(1, family.tiles + 1))
        ranked.extend((float(comparable[end]), tile, index) for tile, end in ends)
    return [index for _, _, index in sorted(ranked)]


def even_order(families: Sequence[Family]) -> list[int]:
    """The family of each tile, such that all families lose about the same share."""
    ranked = [
        (len(family.removed(tile)) / len(family.leaders), index)
        for index, family in enumerate(families)
        for tile in range(1, family.tiles + 1)
    ]
    return [index for _, index in sorted(ranked)]


def _occurrences(analysis: ChannelAnalysis, leaders: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each leader a number that tells in which tensors it occurs how often, and its least count in one of them."""
    place = torch.full((len(analysis.members),), -1)
    place[leaders] = torch.arange(len(leaders))
    generator = torch.Generator().manual_seed(_HASH_SEED)
    signature = torch.zeros(len(leaders), dtype=torch.int64)
    least = torch.full((len(leaders),), torch.iinfo(torch.int64).max)
    for binding in analysis.bindings:
        found = place[analysis.members[binding.labels].reshape(-1)]
        counts = torch.bincount(found[found >= 0], minlength=len(leaders))
        signature += counts * torch.randint(1, 2**40, (), generator=generator)
        least = torch.where(counts > 0, torch.minimum(least, counts), least)
    least[torch.isin(leaders, analysis.inner)] = 1  # a tile of the width of heads is counted within one head
    return signature, least


def _step(count: int, width: int, round_to: int) -> int:
    """Atoms in a tile: each is `width` channels wide; a family of less than two tiles gets smaller ones."""
    step = max(1, round_to // math.gcd(round_to, width))
    while step > 1 and count < 2 * step:
        step //= 2
    return step
