# SPDX-License-Identifier: Apache-2.0
"""How close a program's outputs are to those of eager torch: a program may lower, run, and be wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# The least signal-to-noise ratio of an output, in dB. In float both sides differ by the order of sums (90 dB and more);
# in int8 a rounding lost early moves later ones. A wrong lowering is below 10.
LEAST_AGREEMENT = {"float32": 40.0, "float16": 25.0, "int8": 20.0}
_PERFECT = 200.0


def signal_to_noise(given: torch.Tensor, wanted: torch.Tensor) -> float:
    """10 log10 of the power of `wanted` over that of the difference; 200 where they are equal, NaN never.

    Infinite or NaN values in the same places count as equal; anywhere else they make the ratio -200.
    """
    import torch

    if given.shape != wanted.shape:
        return -_PERFECT
    first, second = given.detach().double().flatten(), wanted.detach().double().flatten()
    odd = ~torch.isfinite(second)
    if not torch.equal(torch.nan_to_num(first[odd], 1.0, 2.0, 3.0), torch.nan_to_num(second[odd], 1.0, 2.0, 3.0)):
        return -_PERFECT
    first, second = first[~odd], second[~odd]
    if not bool(torch.isfinite(first).all()):
        return -_PERFECT
    noise = float((first - second).square().sum())
    signal = float(second.square().sum())
    if noise == 0.0:
        return _PERFECT
    return max(-_PERFECT, min(_PERFECT, 10 * math.log10(max(signal, 1e-300) / noise)))


def least_agreement(given: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> float:
    """The least `signal_to_noise` over pairs of outputs; -200 where their numbers differ."""
    if len(given) != len(wanted):
        return -_PERFECT
    return min((signal_to_noise(one, other) for one, other in zip(given, wanted, strict=True)), default=_PERFECT)
