# SPDX-License-Identifier: Apache-2.0
"""Labels of channels, and which of them stand or fall together.

A label is atomic, or joint: a joint one stands exactly if each of its parts does (an element of head h at width w needs
both). Classes of labels are united by union-find; what is united with label 0 is frozen and never removed.

Whatever set of atoms goes, what is left of a labelled tensor is a rectangle: `axes` gives, for each dimension, the
labels along it, such that an element stands exactly if its label along every dimension does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch

FROZEN = 0
_IMAGE_RANK = 4


class LabelSpace:
    """Hands out labels and unites them."""

    def __init__(self) -> None:
        self._parents = [FROZEN]
        self._parts: dict[int, tuple[int, ...]] = {}  # of joint classes, by their leader
        self._joint: dict[frozenset[int], int] = {}
        self.inner: list[torch.Tensor] = []  # the innermost labels of every product made by splitting a dimension

    def __len__(self) -> int:
        return len(self._parents)

    def fresh(self, count: int) -> torch.Tensor:
        """`count` new atomic labels, int64 [count]."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def atoms(self, label: int) -> frozenset[int]:
        """The leaders of the atoms a label needs; empty where it is frozen."""
        root = self._find(label)
        if root == FROZEN:
            return frozenset()
        parts = self._parts.get(root)
        return frozenset({root}) if parts is None else frozenset().union(*(self.atoms(part) for part in parts))

    def unite(self, left: torch.Tensor, right: torch.Tensor) -> None:
        """Unite labels position by position (shapes broadcast)."""
        left, right = compact(left), compact(right)
        sides = (left + torch.zeros_like(right), right + torch.zeros_like(left))
        pairs = torch.unique(torch.stack([side.reshape(-1) for side in sides]), dim=1)
        for one, other in pairs.t().tolist():
            self._unite(one, other)

    def freeze(self, labels: torch.Tensor) -> int:
        """Never remove these; returns how many classes were not frozen before."""
        found = {self._canonical(label) for label in torch.unique(compact(labels)).tolist()} - {FROZEN}
        for label in found:
            self._freeze(self.atoms(label))
        return len(found)

    def roots(self, labels: torch.Tensor) -> torch.Tensor:
        """One name for each set of atoms, in the shape of `labels`."""
        names, inverse = torch.unique(labels, return_inverse=True)
        return torch.tensor([self._canonical(name) for name in names.tolist()], dtype=torch.int64)[inverse]

    def axes(self, labels: torch.Tensor) -> list[torch.Tensor | None]:
        """For each dimension the labels [size] along it, or None where nothing varies.

        Labels that are no such product yet become one: atoms that were never split get parts; any others are united
        along all dimensions but one, which costs freedom, never correctness.
        """
        roots = self.roots(compact(labels))
        varying = varying_dimensions(roots)
        found: list[torch.Tensor | None] = [None] * labels.ndim
        small = roots
        for dim in range(roots.ndim):
            if dim not in varying:
                small = small.narrow(dim, 0, 1)
        small = small.reshape([roots.shape[dim] for dim in varying])
        if not varying:
            self.freeze(small)
        elif len(varying) == 1:
            found[varying[0]] = small
        else:
            for dim, vector in zip(varying, self._factored(small, roots.ndim, varying), strict=True):
                found[dim] = vector
        return found

    def product(self, vectors: Sequence[torch.Tensor | None], shape: Sequence[int]) -> torch.Tensor:
        """Labels in `shape`, each joint of those along the dimensions; None does not vary."""
        lines = [
            vector.reshape([-1 if index == dim else 1 for index in range(len(shape))])
            for dim, vector in enumerate(vectors)
            if vector is not None
        ]
        labels = torch.zeros([1] * len(shape), dtype=torch.int64)
        for line in lines:
            labels = self._joined(labels, line)
        return labels.expand(tuple(shape))

    def _joined(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        left, right = left + torch.zeros_like(right), right + torch.zeros_like(left)
        pairs, inverse = torch.unique(torch.stack([left.reshape(-1), right.reshape(-1)]), dim=1, return_inverse=True)
        names = [self._join(one, other) for one, other in pairs.t().tolist()]
        return torch.tensor(names, dtype=torch.int64)[inverse].reshape(left.shape)

    def _join(self, one: int, other: int) -> int:
        if FROZEN in (one, other) or one == other:
            return max(one, other)
        label = int(self.fresh(1))
        self._parts[label] = (one, other)
        return label

    def _factored(self, labels: torch.Tensor, rank: int, varying: list[int]) -> list[torch.Tensor]:
        """The labels along each dimension of a tensor that varies along all of its two or more."""
        named = {name: self.atoms(name) for name in torch.unique(labels).tolist()}
        sets = [[named[name] for name in set(labels.select(dim, i).reshape(-1).tolist())] for dim, i in _slices(labels)]
        along: list[list[frozenset[int]]] = [[] for _ in labels.shape]
        for (dim, _), members in zip(_slices(labels), sets, strict=True):
            along[dim].append(frozenset.intersection(*members))
        indices = list(itertools.product(*(range(size) for size in labels.shape)))
        flat = labels.reshape(-1).tolist()
        if all(
            named[name] == frozenset().union(*(along[dim][i] for dim, i in enumerate(index)))
            for name, index in zip(flat, indices, strict=True)
        ):
            return [torch.tensor([self._named(atoms) for atoms in line], dtype=torch.int64) for line in along]
        if len(set(flat)) == len(flat) and FROZEN not in flat and all(len(named[name]) == 1 for name in flat):
            vectors = [self.fresh(size) for size in labels.shape]
            self.inner.append(vectors[-1])
            lists = [vector.tolist() for vector in vectors]
            for name, index in zip(flat, indices, strict=True):
                self._parts[name] = tuple(lists[dim][i] for dim, i in enumerate(index))
            return vectors
        return self._collapsed(labels, rank, varying)

    def _collapsed(self, labels: torch.Tensor, rank: int, varying: list[int]) -> list[torch.Tensor]:
        """Unite along all dimensions but one: the channels of an image, else the longest."""
        image = rank == _IMAGE_RANK and 1 in varying
        kept = varying.index(1) if image else max(range(labels.ndim), key=lambda dim: labels.shape[dim])
        line = labels
        for dim in range(labels.ndim):
            if dim != kept:
                line = line.narrow(dim, 0, 1)
        self.unite(labels, line)
        frozen = [torch.zeros(size, dtype=torch.int64) for size in labels.shape]
        return [self.roots(line.reshape(-1)) if dim == kept else zeros for dim, zeros in enumerate(frozen)]

    def _named(self, atoms: frozenset[int]) -> int:
        """The label that needs exactly these atoms."""
        if len(atoms) <= 1:
            return next(iter(atoms), FROZEN)
        if atoms not in self._joint:
            label = int(self.fresh(1))
            self._parts[label] = tuple(sorted(atoms))
            self._joint[atoms] = label
        return self._joint[atoms]

    def _canonical(self, label: int) -> int:
        root = self._find(label)
        if root not in self._parts:
            return root
        atoms = self.atoms(root)
        return next(iter(atoms), FROZEN) if len(atoms) <= 1 else self._joint.setdefault(atoms, root)

    def _unite(self, left: int, right: int) -> None:
        one, other = self._find(left), self._find(right)
        if one == other:
            return
        mine, theirs = self.atoms(one), self.atoms(other)
        if mine == theirs:
            return
        if not mine or not theirs:
            self._freeze(mine | theirs)
        elif one not in self._parts and other not in self._parts:
            self._parents[max(one, other)] = min(one, other)
        elif one not in self._parts and one not in theirs:
            self._parents[one] = other  # an atom takes on the parts of what it is united with
        elif other not in self._parts and other not in mine:
            self._parents[other] = one
        else:
            self._unite_sets(one, other, mine, theirs)

    def _unite_sets(self, one: int, other: int, mine: frozenset[int], theirs: frozenset[int]) -> None:
        left, right = mine - theirs, theirs - mine
        if len(left) == 1 and len(right) == 1:
            self._unite(next(iter(left)), next(iter(right)))
            return
        parts, others = self._parts.get(one, (one,)), self._parts.get(other, (other,))
        if left and right and len(parts) == len(others):
            for part, counterpart in zip(parts, others, strict=True):
                self._unite(part, counterpart)
        if self.atoms(one) != self.atoms(other):
            self._freeze(self.atoms(one) ^ self.atoms(other))

    def _freeze(self, atoms: Iterable[int]) -> None:
        for atom in atoms:
            self._parents[self._find(atom)] = FROZEN

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


def _slices(labels: torch.Tensor) -> list[tuple[int, int]]:
    return [(dim, index) for dim, size in enumerate(labels.shape) for index in range(size)]
