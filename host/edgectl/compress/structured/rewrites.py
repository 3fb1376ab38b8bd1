# SPDX-License-Identifier: Apache-2.0
"""Literals in a graph that follow the number of channels: each knows how to say itself anew when channels go.

`keep` is bool [labels] throughout: True where the label stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.fx import Node

aten = torch.ops.aten


class Rewrite(Protocol):
    """A literal of one node, named so that it is found in a copy of the graph."""

    @property
    def node(self) -> str: ...

    def apply(self, node: Node, keep: torch.Tensor) -> None:
        """Change the node's arguments in place."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SizeRewrite:
    """One number in a list of sizes (view, reshape, expand, unflatten); one that the graph computes becomes -1."""

    node: str
    argument: int
    position: int
    labels: torch.Tensor

    def apply(self, node: Node, keep: torch.Tensor) -> None:
        sizes: Any = node.args[self.argument]
        changed = list(sizes)
        left = int(keep[self.labels].sum())
        if left != len(self.labels):
            changed[self.position] = -1 if isinstance(changed[self.position], Node) else left
            node.update_arg(self.argument, changed)


@dataclass(frozen=True, slots=True, eq=False)
class CountRewrite:
    """An argument that counts channels: the groups of a convolution or of a group norm."""

    node: str
    argument: int
    labels: torch.Tensor

    def apply(self, node: Node, keep: torch.Tensor) -> None:
        node.update_arg(self.argument, int(keep[self.labels].sum()))


@dataclass(frozen=True, slots=True, eq=False)
class SliceRewrite:
    """The two ends of a slice along the channels."""

    node: str
    start: int
    end: int
    labels: torch.Tensor

    def apply(self, node: Node, keep: torch.Tensor) -> None:
        kept = keep[self.labels]
        node.update_arg(2, int(kept[: self.start].sum()))
        node.update_arg(3, int(kept[: self.end].sum()))


@dataclass(frozen=True, slots=True, eq=False)
class SplitRewrite:
    """A split or chunk along the channels: the parts may now differ in size."""

    node: str
    dim: int
    parts: Sequence[torch.Tensor]

    def apply(self, node: Node, keep: torch.Tensor) -> None:
        sizes = [int(keep[part].sum()) for part in self.parts]
        node.target = aten.split_with_sizes.default
        node.args = (node.args[0], sizes, self.dim)
        node.kwargs = {}


@dataclass(frozen=True, slots=True, eq=False)
class ScaleRewrite:
    """Fused attention divides by the root of its width: when that goes down, the old divisor is written out."""

    node: str
    scale: float

    def apply(self, node: Node, keep: torch.Tensor) -> None:  # noqa: ARG002 - a rewrite takes what stays
        node.kwargs = {**node.kwargs, "scale": self.scale}
