# SPDX-License-Identifier: Apache-2.0
"""The bound of a paired loss of accuracy: against hand-computed values, and its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgectl.compress.paired_bound import paired_drop
from edgectl_protos.errors import InputError


def answers(*, both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    before = np.array([True] * (both + lost) + [False] * (won + neither))
    after = np.array([True] * both + [False] * lost + [True] * won + [False] * neither)
    return before, after


def test_bound_agrees_with_the_published_formula() -> None:
    # Agresti's own R code: diff = (b - c) / (n + 2), sd = sqrt((b + c + 1) - (b - c)^2 / (n + 2)) / (n + 2)
    seen = paired_drop(*answers(both=90, lost=6, won=2, neither=2))
    difference = 4 / 102
    deviation = math.sqrt(9 - 16 / 102) / 102
    assert seen.upper_bound == pytest.approx(difference + 1.6448536 * deviation, abs=1e-7)
    assert seen.drop == pytest.approx(0.04)
    assert (seen.items, seen.discordant) == (100, 8)


def test_no_discordance_still_has_a_bound_above_zero() -> None:
    seen = paired_drop(*answers(both=350, lost=0, won=0, neither=10))
    assert seen.drop == 0
    assert 0 < seen.upper_bound < 0.01


def test_a_gain_is_a_negative_drop() -> None:
    assert paired_drop(*answers(both=50, lost=0, won=10, neither=40)).drop == pytest.approx(-0.1)


def test_more_items_give_a_tighter_bound() -> None:
    few, many = (paired_drop(*answers(both=95 * n, lost=2 * n, won=2 * n, neither=n)) for n in (1, 50))
    assert many.upper_bound < few.upper_bound


def test_bound_covers_the_true_loss_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        kind = rng.choice(4, size=400, p=[0.94, 0.02, 0.01, 0.03])  # both, lost, won, neither: a true loss of 0.01
        seen = paired_drop((kind == 0) | (kind == 1), (kind == 0) | (kind == 2))
        covered += seen.upper_bound >= 0.01
    assert 0.93 <= covered / 2000 <= 0.99


@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 4)])
def test_arrays_that_do_not_pair_are_refused(before: int, after: int) -> None:
    with pytest.raises(InputError):
        paired_drop(np.ones(before, dtype=np.bool_), np.ones(after, dtype=np.bool_))
