# SPDX-License-Identifier: Apache-2.0
"""When an attempt at a measurement is accepted. Pure: blocks of samples in, reasons out.

The candidate's blocks alternate with blocks of a reference model. Where something else ran on the board, the
candidate's block medians differ from each other, or the reference's do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgectl_protos.quantiles import quantile

Samples = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Blocks of samples in milliseconds as they were taken; `reasons` is empty where the attempt is accepted.

    `reference` holds one block more than `candidate`, the first before it, or none where no reference model ran.
    """

    candidate: tuple[Samples, ...]
    reference: tuple[Samples, ...]
    reasons: tuple[str, ...]


def judge(
    candidate: Sequence[Samples], reference: Sequence[Samples], *, max_variation: float, max_drift: float
) -> tuple[str, ...]:
    """Why the attempt cannot be accepted; nothing where it can."""
    reasons = []
    if len(candidate) < 2:
        reasons.append("one block: its variation cannot be judged")
    elif (varied := variation(candidate)) > max_variation:
        medians = [median(block) for block in candidate]
        reasons.append(
            f"the block medians vary by {varied:.1%} (limit {max_variation:.0%}), "
            f"from {min(medians):.4g} to {max(medians):.4g} ms"
        )
    if reference and (drifted := drift(reference)) > max_drift:
        reasons.append(f"the reference model drifted by {drifted:.1%} (limit {max_drift:.0%})")
    return tuple(reasons)


def variation(blocks: Sequence[Samples]) -> float:
    """Coefficient of variation of the block medians: their sample standard deviation over their mean."""
    medians = [median(block) for block in blocks]
    mean = sum(medians) / len(medians)
    return math.sqrt(sum((value - mean) ** 2 for value in medians) / (len(medians) - 1)) / mean


def drift(blocks: Sequence[Samples]) -> float:
    """How far the reference moved while the candidate was timed: the two halves' median block against each other."""
    medians = [median(block) for block in blocks]
    half = (len(medians) + 1) // 2
    first, second = _middle(medians[:half]), _middle(medians[-half:])
    return abs(second - first) / _middle(medians)


def steadiest(attempts: Sequence[Attempt]) -> int:
    """The index of the accepted attempt, else of the one whose blocks vary least."""
    for index, attempt in enumerate(attempts):
        if not attempt.reasons:
            return index
    return min(range(len(attempts)), key=lambda index: _unsteadiness(attempts[index]))


def _unsteadiness(attempt: Attempt) -> float:
    return variation(attempt.candidate) if len(attempt.candidate) > 1 else math.inf


def median(block: Samples) -> float:
    return quantile(sorted(block), 0.5)


def _middle(values: Sequence[float]) -> float:
    return quantile(sorted(values), 0.5)
