# SPDX-License-Identifier: Apache-2.0
"""One definition of a quantile, for figures that the device and the host both give."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The quantile of ascending values, at least one, by linear interpolation.

    Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), type 7: position (n - 1) * fraction.
    """
    position = (len(ordered) - 1) * fraction
    below = math.floor(position)
    above = math.ceil(position)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
