# SPDX-License-Identifier: Apache-2.0
"""Mean average precision of detected boxes at an overlap of one half (Everingham et al. 2010, every recall a point)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

OVERLAP = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of one image: corners float [N, 4] (left, top, right, bottom), labels int64 [N], scores float [N]."""

    corners: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor


class MeanAveragePrecision:
    """Over the classes that occur among what was wanted.

    Args:
        decode: from a model's outputs to the boxes of each image.
    """

    def __init__(self, decode: Callable[[Any], Sequence[Boxes]]) -> None:
        self._decode = decode
        self._found: dict[int, list[tuple[float, bool]]] = {}
        self._wanted: dict[int, int] = {}

    def update(self, outputs: Any, targets: Sequence[Boxes]) -> None:
        """What the model gave, and the boxes that were wanted (their scores do not count) of each image."""
        for given, wanted in zip(self._decode(outputs), targets, strict=True):
            for label in {*given.labels.tolist(), *wanted.labels.tolist()}:
                self._add(label, given, wanted)

    def compute(self) -> dict[str, float]:
        """`map50`."""
        precisions = [average_precision(self._found.get(label, []), count) for label, count in self._wanted.items()]
        return {"map50": sum(precisions) / len(precisions) if precisions else 0.0}

    def _add(self, label: int, given: Boxes, wanted: Boxes) -> None:
        chosen = given.labels == label
        order = given.scores[chosen].argsort(descending=True)
        corners, scores = given.corners[chosen][order], given.scores[chosen][order]
        left = wanted.corners[wanted.labels == label]
        if len(left):
            self._wanted[label] = self._wanted.get(label, 0) + len(left)
        free = torch.ones(len(left), dtype=torch.bool)
        for box, score in zip(corners, scores.tolist(), strict=True):
            overlaps = box_overlap(box, left) * free
            hit = bool(len(left)) and float(overlaps.max()) >= OVERLAP
            if hit:
                free[overlaps.argmax()] = False
            self._found.setdefault(label, []).append((score, hit))


def box_overlap(box: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Intersection over union of a box [4] with each of others [N, 4]."""
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0)
    shared = sides.prod(1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return shared / area.clamp(min=1e-9)


def average_precision(found: Sequence[tuple[float, bool]], wanted: int) -> float:
    """The area under precision over recall, precision made falling, from scored hits and misses."""
    hits, area, recall = 0, 0.0, 0.0
    points = []
    for rank, (_, hit) in enumerate(sorted(found, key=lambda one: -one[0]), start=1):
        hits += hit
        points.append((hits / wanted, hits / rank))
    for place, (reached, _) in enumerate(points):
        area += (reached - recall) * max(precision for _, precision in points[place:])
        recall = reached
    return area
