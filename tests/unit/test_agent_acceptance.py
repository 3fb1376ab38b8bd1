# SPDX-License-Identifier: Apache-2.0
"""When an attempt at a measurement is accepted."""

from __future__ import annotations

import pytest
from edgectl_agent.measure.acceptance import Attempt, drift, judge, steadiest, variation

_LIMITS = {"max_variation": 0.03, "max_drift": 0.02}


def _blocks(*medians: float) -> tuple[tuple[float, ...], ...]:
    return tuple((value, value, value) for value in medians)


def test_blocks_that_agree_are_accepted() -> None:
    assert judge(_blocks(1.0, 1.01, 0.99, 1.0, 1.0), _blocks(2.0, 2.01, 2.0, 2.0, 1.99, 2.0), **_LIMITS) == ()


def test_blocks_that_vary_are_refused_with_their_figures() -> None:
    (reason,) = judge(_blocks(1.0, 1.0, 1.2, 1.0, 1.0), _blocks(2.0, 2.0, 2.0, 2.0, 2.0, 2.0), **_LIMITS)
    assert "vary by 8.6%" in reason
    assert "from 1 to 1.2 ms" in reason


def test_a_single_outlier_within_a_block_does_not_refuse_it() -> None:
    block = (1.0,) * 40 + (900.0,)
    assert judge([block, block], [], **_LIMITS) == ()


def test_a_reference_that_moved_is_refused_although_the_candidate_held_still() -> None:
    (reason,) = judge(_blocks(1.0, 1.0, 1.0, 1.0, 1.0), _blocks(2.0, 2.0, 2.0, 2.1, 2.1, 2.1), **_LIMITS)
    assert reason.startswith("the reference model drifted by")


def test_one_disturbed_block_of_the_reference_is_no_drift() -> None:
    assert drift(_blocks(2.0, 2.0, 9.0, 2.0, 2.0, 2.0)) == 0.0


def test_one_block_cannot_be_judged() -> None:
    assert judge(_blocks(1.0), [], **_LIMITS) == ("one block: its variation cannot be judged",)


@pytest.mark.parametrize(("medians", "expected"), [((1.0, 1.0), 0.0), ((1.0, 3.0), 2**0.5 / 2)])
def test_the_variation_is_the_sample_deviation_over_the_mean(medians: tuple[float, ...], expected: float) -> None:
    assert variation(_blocks(*medians)) == pytest.approx(expected)


def test_the_accepted_attempt_is_chosen_else_the_steadiest() -> None:
    rough = Attempt(_blocks(1.0, 2.0), (), ("varies",))
    steadier = Attempt(_blocks(1.0, 1.5), (), ("varies",))
    accepted = Attempt(_blocks(1.0, 1.9), (), ())
    assert steadiest([rough, steadier]) == 1
    assert steadiest([rough, steadier, accepted]) == 2
    assert steadiest([Attempt(_blocks(1.0), (), ("one block",)), rough]) == 1
