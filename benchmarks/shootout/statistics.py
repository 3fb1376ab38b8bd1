# SPDX-License-Identifier: Apache-2.0
"""Medians with bootstrap intervals, and who is ahead. Pure.

The samples of a block share the machine's mood of that moment, so the bootstrap draws whole blocks: the figure is the
median of the blocks' medians, and its interval that of the resampled blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
CONFIDENCE = 0.95
TIE = 0.03
SEED = 20261124


@dataclass(frozen=True, slots=True)
class Interval:
    """A median in ms and the ends of its 95 % interval."""

    median: float
    low: float
    high: float


def interval_of(blocks: Sequence[Sequence[float]]) -> Interval:
    """The median of the blocks' medians, with its bootstrap interval.

    Raises:
        ValueError: there is no block, or one without samples.
    """
    if not blocks or not all(blocks):
        raise ValueError("every runtime needs blocks, and every block samples")
    medians = np.array([np.median(block) for block in blocks])
    draws = np.random.default_rng(SEED).integers(len(medians), size=(RESAMPLES, len(medians)))
    spread = np.median(medians[draws], axis=1)
    low, high = np.quantile(spread, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(np.median(medians)), float(low), float(high))


def verdict(ours: Interval, theirs: Interval) -> str:
    """`ahead`, `tied` or `behind`: a tie is overlapping intervals, or medians within 3 % of the faster."""
    overlapping = ours.low <= theirs.high and theirs.low <= ours.high
    faster, slower = sorted((ours.median, theirs.median))
    if overlapping or slower <= faster * (1 + TIE):
        return "tied"
    return "ahead" if ours.median < theirs.median else "behind"
