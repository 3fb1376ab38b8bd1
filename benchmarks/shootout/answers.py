# SPDX-License-Identifier: Apache-2.0
"""Whether an answer is right: near eager torch's float32 output for the same input. Pure.

fp32: no element farther off than a thousandth of the largest. int8: the error's energy at least 10 dB below the
output's (SQNR); a wrong layout, scale or operator misses that by far.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FLOAT_TOLERANCE = 1e-3
LEAST_SQNR_DB = 10.0

Array = npt.NDArray[np.float32]


def agreement(answer: Array, expected: Array, precision: str) -> tuple[bool, str]:
    """Whether `answer` counts as right, and its distance in words. Shapes may differ by axes of size 1."""
    if answer.size != expected.size:
        return False, f"{answer.size} elements instead of {expected.size}"
    exact = expected.astype(np.float64).ravel()
    error = answer.astype(np.float64).ravel() - exact
    if not np.all(np.isfinite(error)):
        return False, "an output that is not finite"
    if precision == "fp32":
        relative = float(np.abs(error).max() / np.abs(exact).max())
        return relative <= FLOAT_TOLERANCE, f"largest error {relative:.1e} of the peak"
    energy = float(np.square(error).sum())
    sqnr = 10 * np.log10(np.square(exact).sum() / energy) if energy else np.inf
    return bool(sqnr >= LEAST_SQNR_DB), f"SQNR {sqnr:.1f} dB"
