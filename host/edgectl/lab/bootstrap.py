# SPDX-License-Identifier: Apache-2.0
"""A confidence interval for the median of samples that came in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 1_000
LEVEL = 0.95
_MOST_IN_BLOCK = 200
_SEED = 20_260_101


def median_interval(blocks: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Bounds of the `LEVEL` percentile interval of the median, in the samples' unit.

    Two-level bootstrap (Davison and Hinkley 1997, section 3.8): blocks are drawn with replacement, then samples within
    each, so that it is as wide as the blocks differ. Of a long block `_MOST_IN_BLOCK` evenly spaced order statistics
    stand for all. The generator's seed is fixed: equal samples give equal bounds.
    """
    generator = np.random.default_rng(_SEED)
    thinned = [_thinned(np.sort(np.asarray(block, dtype=np.float64))) for block in blocks]
    medians = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        chosen = [thinned[index] for index in generator.integers(len(thinned), size=len(thinned))]
        medians[draw] = np.median(np.concatenate([generator.choice(block, size=len(block)) for block in chosen]))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(medians, (tail, 1 - tail))
    return float(low), float(high)


def _thinned(ordered: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if len(ordered) <= _MOST_IN_BLOCK:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, _MOST_IN_BLOCK).round().astype(np.int64)]
