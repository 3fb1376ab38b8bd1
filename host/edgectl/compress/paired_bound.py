# SPDX-License-Identifier: Apache-2.0
"""How much accuracy was lost, at most: the one-sided 95 % bound of a paired difference of proportions. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from edgectl_protos.errors import InputError

_Z_ONE_SIDED_95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class PairedDrop:
    """`drop` and `upper_bound` as shares of the items (0.01 is a point); `discordant` items changed sides."""

    drop: float
    upper_bound: float
    items: int
    discordant: int


def paired_drop(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> PairedDrop:
    """The loss of accuracy from `before` to `after`, two bool arrays [N] of correct answers on the same items.

    Adjusted Wald interval for matched pairs (Agresti, Min 2005, Statistics in Medicine 24: "Wald+2", half a
    pair added to each of the four cells): it keeps its coverage where few pairs disagree, and a test without any
    discordance still has a bound above zero.

    Raises:
        InputError: the arrays are empty or differ in length.
    """
    if before.shape != after.shape or before.ndim != 1 or before.size == 0:
        raise InputError(f"answers of shapes {before.shape} and {after.shape}", expected="two arrays [N], N above 0")
    items = int(before.size)
    lost = int(np.count_nonzero(before & ~after))
    won = int(np.count_nonzero(~before & after))
    total = items + 2.0
    difference = ((lost + 0.5) - (won + 0.5)) / total
    variance = ((lost + 0.5) + (won + 0.5) - total * difference**2) / total**2
    bound = difference + _Z_ONE_SIDED_95 * math.sqrt(max(variance, 0.0))
    return PairedDrop(drop=(lost - won) / items, upper_bound=min(1.0, bound), items=items, discordant=lost + won)
