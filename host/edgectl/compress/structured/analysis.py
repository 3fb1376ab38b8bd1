# SPDX-License-Identifier: Apache-2.0
"""What is known of a graph's channels once it was traced: values that the choice, the cut and the check read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from edgectl.compress.structured.label_space import FROZEN
from edgectl.compress.structured.rewrites import Rewrite

ROWS = "rows"  # a producer's outputs
COLUMNS = "columns"  # a consumer's inputs
BESIDE = "beside"  # parameters per channel: norms, depthwise filters, scales


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One dimension of a parameter or buffer whose elements are channels; labels int64 [size of dim]."""

    tensor: str
    dim: int
    role: str
    labels: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """An activation that `node` consumes: `labels` int64 lie along `dim` of the result of `source`."""

    node: str
    source: str
    dim: int
    labels: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Multiply-accumulates: `times`, times the elements of `weight`, times what is kept along each of `extents`."""

    times: int
    weight: str | None = None
    extents: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """Channels that an operator keeps: where, why, how many."""

    place: str
    reason: str
    channels: int


@dataclass(frozen=True, eq=False)
class ChannelAnalysis:
    """What pruning needs to know of a graph.

    `members` is int64 [labels, most atoms of one]: the leaders of the atoms that each label needs, filled up with the
    frozen label; `consumed` are what weights with columns read, `contractions` what a product of two activations sums
    over; `inner` holds the atoms that lie within a product (the width of heads, the places within groups);
    `tensors` maps every name a tensor goes by to the one name used here.
    """

    bindings: tuple[Binding, ...]
    members: torch.Tensor
    inner: torch.Tensor
    work: tuple[Work, ...]
    consumed: tuple[Operand, ...]
    contractions: tuple[Operand, ...]
    rewrites: tuple[Rewrite, ...]
    kept: tuple[Kept, ...]
    tensors: dict[str, str]

    @cached_property
    def removable(self) -> torch.Tensor:
        """The leaders of the atoms that may go and lie along a weight, int64 [atoms], ascending."""
        bound = [self.members[binding.labels].reshape(-1) for binding in self.bindings]
        leaders: torch.Tensor = torch.unique(torch.cat([*bound, torch.tensor([FROZEN])]))
        return leaders[leaders != FROZEN]

    def standing(self, removed: torch.Tensor) -> torch.Tensor:
        """Which labels stand, bool [labels], when the atoms with these leaders go."""
        atoms = torch.ones(len(self.members), dtype=torch.bool)
        atoms[removed] = False
        return atoms[self.members].all(dim=1)
