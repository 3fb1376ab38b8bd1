# SPDX-License-Identifier: Apache-2.0
"""Labels of channels, and which of them stand or fall together (union-find).

Label 0 is frozen: what is united with it is never removed. Every labelled activation varies along one dimension at
most, so whatever set of channels goes, what is left of it is a rectangle.
"""

from __future__ import annotations

import torch

FROZEN = 0
_IMAGE_RANK = 4


class LabelSpace:
    """Hands out labels and unites them."""

    def __init__(self) -> None:
        self._parents = [FROZEN]

    def __len__(self) -> int:
        return len(self._parents)

    def fresh(self, count: int) -> torch.Tensor:
        """`count` new labels, int64 [count]."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def unite(self, left: torch.Tensor, right: torch.Tensor) -> int:
        """Unite labels position by position (shapes broadcast); returns how many classes disappeared."""
        left, right = compact(left), compact(right)
        sides = (left + torch.zeros_like(right), right + torch.zeros_like(left))
        pairs = torch.unique(torch.stack([side.reshape(-1) for side in sides]), dim=1)
        merged = 0
        for one, other in pairs.t().tolist():
            low, high = sorted((self._find(one), self._find(other)))
            if low != high:
                self._parents[high] = low  # the smaller label leads, so the frozen class is always led by 0
                merged += 1
        return merged

    def freeze(self, labels: torch.Tensor) -> int:
        """Never remove these; returns how many classes were not frozen before."""
        return self.unite(labels, torch.tensor(FROZEN))

    def roots(self, labels: torch.Tensor) -> torch.Tensor:
        """The leader of each label's class, in the shape of `labels`."""
        names, inverse = torch.unique(labels, return_inverse=True)
        return torch.tensor([self._find(name) for name in names.tolist()])[inverse]

    def close(self, labels: torch.Tensor) -> torch.Tensor:
        """Unite until the labels vary along one dimension at most; the result is expanded from that vector.

        The dimension kept is the channel dimension of an image, else the longest that varies: uniting too much costs
        freedom, never correctness.
        """
        roots = self.roots(compact(labels))
        varying = varying_dimensions(roots)
        if len(varying) > 1:
            image_channels = roots.ndim == _IMAGE_RANK and 1 in varying
            kept = 1 if image_channels else max(varying, key=lambda dim: roots.shape[dim])
            vector = _first_along(roots, kept)
            self.unite(roots, vector)
            roots = self.roots(vector)
        return roots.expand(labels.shape)

    def along(self, labels: torch.Tensor, dim: int) -> torch.Tensor:
        """The labels [size of dim] along `dim`, uniting whatever differs along the others."""
        roots = self.roots(compact(labels))
        vector = _first_along(roots, dim)
        self.unite(roots, vector)
        return self.roots(vector).expand(_line_shape(labels, dim)).reshape(-1)

    def _find(self, label: int) -> int:
        parents = self._parents
        while parents[label] != label:
            parents[label] = parents[parents[label]]
            label = parents[label]
        return label


def compact(labels: torch.Tensor) -> torch.Tensor:
    """The labels with every expanded dimension cut to size 1."""
    for dim in range(labels.ndim):
        if labels.stride(dim) == 0 and labels.shape[dim] > 1:
            labels = labels.narrow(dim, 0, 1)
    return labels


def varying_dimensions(labels: torch.Tensor) -> list[int]:
    """The dimensions along which labels differ."""
    small = compact(labels)
    return [
        dim for dim in range(small.ndim) if small.shape[dim] > 1 and not bool((small == small.narrow(dim, 0, 1)).all())
    ]


def along_dimension(vector: torch.Tensor, dim: int, shape: torch.Size) -> torch.Tensor:
    """Labels [n] laid along `dim` and repeated to `shape`."""
    line = [1] * len(shape)
    line[dim] = -1
    return vector.reshape(line).expand(shape)


def _first_along(labels: torch.Tensor, dim: int) -> torch.Tensor:
    for other in range(labels.ndim):
        if other != dim:
            labels = labels.narrow(other, 0, 1)
    return labels


def _line_shape(labels: torch.Tensor, dim: int) -> list[int]:
    return [size if index == dim else 1 for index, size in enumerate(labels.shape)]
