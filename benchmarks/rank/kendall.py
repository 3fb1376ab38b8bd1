# SPDX-License-Identifier: Apache-2.0
"""Kendall's tau-b with bootstrap intervals, of one figure and of the difference between two. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the percentile bootstrap's 95 % interval."""

    estimate: float
    low: float
    high: float

    def text(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two figures rank the same items, and by how much the first does it better, on the same resamples."""

    first: Interval
    second: Interval
    difference: Interval


def kendall_tau(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau-b (Kendall, 1945, "The treatment of ties in ranking problems"): ties count in neither direction."""
    ones = np.ones((1, len(one)))
    return float(_taus(_signs(one), _signs(other), ones)[0])


def compare(first: Sequence[float], second: Sequence[float], truth: Sequence[float], *, seed: int) -> Comparison:
    """Tau of both figures with the truth. Items are resampled with replacement; an item makes no pair with itself."""
    generator = np.random.default_rng(seed)
    count = len(truth)
    weights = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float64)
    signs = [_signs(values) for values in (first, second, truth)]
    taus = [_taus(signs[which], signs[2], weights) for which in (0, 1)]
    exact = [kendall_tau(values, truth) for values in (first, second)]
    return Comparison(
        _interval(exact[0], taus[0]), _interval(exact[1], taus[1]), _interval(exact[0] - exact[1], taus[0] - taus[1])
    )


def _signs(values: Sequence[float]) -> Array:
    """[n, n]: whether item i is above item j."""
    column = np.asarray(values, dtype=np.float64)
    signs: Array = np.sign(column[:, np.newaxis] - column)
    return signs


def _taus(one: Array, other: Array, weights: Array) -> Array:
    """Tau-b of each row of weights [resamples, n]; a weight says how often an item was drawn."""

    def total(matrix: Array) -> Array:
        pairs: Array = np.einsum("ri,ri->r", weights @ matrix, weights)
        return pairs

    taus: Array = total(one * other) / np.sqrt(total(np.abs(one)) * total(np.abs(other)))
    return taus


def _interval(estimate: float, resampled: Array) -> Interval:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(estimate, float(low), float(high))
