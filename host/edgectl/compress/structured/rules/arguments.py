# SPDX-License-Identifier: Apache-2.0
"""Arguments of a node by position or by name, and dimensions counted from either end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.fx import Node

Axes = list[torch.Tensor | None]


def argument(node: Node, index: int, name: str = "", default: Any = None) -> Any:
    """The argument at a position, or under its name, or the default."""
    return node.args[index] if len(node.args) > index else node.kwargs.get(name, default)


def dimensions(given: Any, rank: int) -> list[int]:
    """Literal dimensions (one or several, None for all), counted from the front."""
    if given is None or (isinstance(given, Iterable) and not list(given)):
        return list(range(rank))
    return sorted({int(dim) % max(rank, 1) for dim in (given if isinstance(given, list | tuple) else [given])})


def without(axes: Sequence[torch.Tensor | None], dims: Iterable[int]) -> Axes:
    """The axes with those of `dims` no longer varying."""
    gone = set(dims)
    return [None if dim in gone else vector for dim, vector in enumerate(axes)]


def along(vector: torch.Tensor | None, size: int) -> torch.Tensor:
    """Labels [size]; frozen ones where nothing varies."""
    return torch.zeros(size, dtype=torch.int64) if vector is None else vector
