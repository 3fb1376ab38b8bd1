# SPDX-License-Identifier: Apache-2.0
"""Which channels go: a pure choice over scores and costs.

A choice is how many tiles each family loses. Tiles go in the order of the families' scores until the cost is down by
the amount asked; single tiles fill up what is then left. Where large tiles miss the amount, smaller ones are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgectl.compress.structured.analysis import ChannelAnalysis
from edgectl.compress.structured.costs import Cost
from edgectl.compress.structured.families import Family, even_order, families_of, global_order

_CLOSE_ENOUGH = 0.1  # of what is to go
_FINE = 0.02  # of what is to go: so near, nothing else is tried


@dataclass(frozen=True, slots=True, eq=False)
class Amount:
    """What to come down to, from what, in the unit of a cost of what bool [labels] keeps."""

    limit: float
    total: float
    cost: Cost

    @property
    def share(self) -> float:
        """How much of the total is to go."""
        return 1.0 - self.limit / max(self.total, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """The leaders of a family's atoms, and of those that go."""

    family: torch.Tensor
    removed: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What goes: `share` is how much of the cost does, `reached` whether that is about what was asked."""

    losses: tuple[Loss, ...]
    share: float
    reached: bool
    round_to: int

    @property
    def removed(self) -> torch.Tensor:
        """The leaders of all atoms that go."""
        return torch.cat([torch.empty(0, dtype=torch.int64), *(loss.removed for loss in self.losses)])


def select_channels(
    analysis: ChannelAnalysis,
    scores: torch.Tensor,
    amount: Amount,
    *,
    round_to: int,
    order: str,
    spared: torch.Tensor,
) -> Selection:
    """The choice whose cost comes nearest to the amount's limit.

    Args:
        analysis: of the graph.
        scores: float32 [labels], read at the leaders of atoms.
        amount: what is to go.
        round_to: what a family keeps is a multiple of so many channels, of fewer where it has less than two tiles, or
            where no choice comes within a tenth of the amount though more could go.
        order: `relative` and `lamp` rank all families on one scale, `layer` takes the same share of each.
        spared: leaders of atoms that stay.
    """
    best = _selected(analysis, scores, amount, round_to=round_to, order=order, spared=spared)
    tile = round_to // 2
    while tile and not best.reached and _more_could_go(analysis, scores, amount, round_to=round_to, spared=spared):
        found = _selected(analysis, scores, amount, round_to=tile, order=order, spared=spared)
        if abs(found.share - amount.share) < abs(best.share - amount.share):
            best = found
        tile //= 2
    return best


def _selected(
    analysis: ChannelAnalysis,
    scores: torch.Tensor,
    amount: Amount,
    *,
    round_to: int,
    order: str,
    spared: torch.Tensor,
) -> Selection:
    families = families_of(analysis, scores, round_to=round_to, spared=spared)
    search = _TileSearch(analysis, families, amount)
    tiles = search.nearest(even_order(families) if order == "layer" else global_order(families, lamp=order == "lamp"))
    share = 1.0 - search.left(tiles) / max(amount.total, 1)
    losses = tuple(
        Loss(family.leaders, family.removed(count)) for family, count in zip(families, tiles, strict=True) if count
    )
    reached = abs(share - amount.share) <= _CLOSE_ENOUGH * max(amount.share, 1e-9)
    return Selection(losses, share, reached, round_to)


def _more_could_go(
    analysis: ChannelAnalysis, scores: torch.Tensor, amount: Amount, *, round_to: int, spared: torch.Tensor
) -> bool:
    """Whether the tiles that were asked for are too large, rather than too few."""
    families = families_of(analysis, scores, round_to=round_to, spared=spared)
    return _TileSearch(analysis, families, amount).left([family.tiles for family in families]) < amount.limit


class _TileSearch:
    """Finds how many tiles each family loses."""

    def __init__(self, analysis: ChannelAnalysis, families: Sequence[Family], amount: Amount) -> None:
        self._analysis, self._families, self._amount = analysis, families, amount

    def left(self, tiles: Sequence[int]) -> int:
        """The cost of what stays."""
        gone = [family.removed(count) for family, count in zip(self._families, tiles, strict=True)]
        removed = torch.cat([torch.empty(0, dtype=torch.int64), *gone])
        return self._amount.cost(self._analysis.standing(removed))

    def nearest(self, ranking: list[int]) -> list[int]:
        """The tiles whose cost is nearest to the limit.

        Where single tiles are large (those of a narrow first layer) the order may end just before one of them: then
        each family in turn goes first.
        """
        tiles = self._filled(self._bisected(ranking), ranking)
        gap = self._gap(tiles)
        for index, family in enumerate(self._families):
            if gap <= _FINE * (self._amount.total - self._amount.limit):
                break
            if family.tiles:
                rest = list(ranking)
                rest.remove(index)
                other = self._filled(self._bisected([index, *rest]), ranking)
                if self._gap(other) < gap:
                    tiles, gap = other, self._gap(other)
        return tiles

    def _gap(self, tiles: Sequence[int]) -> float:
        return abs(self.left(tiles) - self._amount.limit)

    def _bisected(self, ranking: Sequence[int]) -> list[int]:
        """The most tiles of the order after which the cost is still at or above the limit."""

        def after(length: int) -> list[int]:
            tiles = [0] * len(self._families)
            for index in ranking[:length]:
                tiles[index] += 1
            return tiles

        low, high = 0, len(ranking)
        while low < high:
            middle = (low + high + 1) // 2
            if self.left(after(middle)) >= self._amount.limit:
                low = middle
            else:
                high = middle - 1
        return after(low)

    def _filled(self, tiles: list[int], ranking: Sequence[int]) -> list[int]:
        """Single tiles more, weakest first, while they do not pass the limit; at last one that does if it is nearer."""
        full: set[int] = set()
        for index in ranking:
            if index in full or tiles[index] >= self._families[index].tiles:
                continue
            more = _with_one_more(tiles, index)
            if self.left(more) >= self._amount.limit:
                tiles = more
            else:
                full.add(index)
        best, gap = tiles, self._gap(tiles)
        for index, family in enumerate(self._families):
            if gap > 0 and tiles[index] < family.tiles:
                more = _with_one_more(tiles, index)
                if self._gap(more) < gap:
                    best, gap = more, self._gap(more)
        return best


def _with_one_more(tiles: Sequence[int], index: int) -> list[int]:
    return [count + (position == index) for position, count in enumerate(tiles)]
