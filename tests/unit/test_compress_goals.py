# SPDX-License-Identifier: Apache-2.0
"""Goals against figures: which way is better, against what, and what was not measured."""

from __future__ import annotations

import math
from typing import Any

import pytest
from edgectl.compress.goals import Goal, hard_goals_hold, judge_goals

BASELINE = {"accuracy": 0.98, "program_bytes": 1000.0, "p95_ms": 20.0}
FINAL = {"accuracy": 0.97, "program_bytes": 250.0, "p95_ms": 8.0}


@pytest.mark.parametrize(
    ("goal", "held", "seen"),
    [
        ({"metric": "accuracy", "threshold": 0.97}, True, 0.97),
        ({"metric": "accuracy", "threshold": 0.971}, False, 0.97),
        ({"metric": "accuracy", "max_degradation": 0.011}, True, 0.01),
        ({"metric": "accuracy", "max_degradation": 0.009}, False, 0.01),
        ({"metric": "accuracy", "min_improvement": 0.001}, False, -0.01),
        ({"metric": "program_bytes", "threshold": 250}, True, 250),
        ({"metric": "program_bytes", "threshold": 249}, False, 250),
        ({"metric": "program_bytes", "min_improvement": 0.75}, True, 0.75),
        ({"metric": "program_bytes", "min_improvement": 0.76}, False, 0.75),
        ({"metric": "p95_ms", "device": "pi4", "threshold": 8}, True, 8),
    ],
)
def test_goal_is_judged_by_what_is_better(goal: dict[str, Any], *, held: bool, seen: float) -> None:
    (outcome,) = judge_goals([Goal(**goal)], baseline=BASELINE, final=FINAL, device="pi4")
    assert outcome.held is held
    assert outcome.seen == pytest.approx(seen)


@pytest.mark.parametrize(
    ("goal", "part"),
    [
        ({"metric": "p95_ms", "device": "pi5", "threshold": 8}, "was not measured on pi5"),
        ({"metric": "peak_bytes", "threshold": 8}, "peak_bytes was not measured"),
        ({"metric": "recall", "threshold": 0.5}, "recall was not measured"),
    ],
)
def test_what_was_not_measured_does_not_hold(goal: dict[str, Any], part: str) -> None:
    (outcome,) = judge_goals([Goal(**goal)], baseline=BASELINE, final=FINAL, device="pi4")
    assert not outcome.held
    assert math.isnan(outcome.seen)
    assert outcome.document()["seen"] is None
    assert part in outcome.told


def test_only_goals_of_priority_one_decide() -> None:
    wished = Goal(metric="accuracy", threshold=1.0, priority=2)
    hard = Goal(metric="accuracy", threshold=0.5)
    assert hard_goals_hold(judge_goals([wished, hard], baseline=BASELINE, final=FINAL))
    missed = Goal(metric="accuracy", threshold=0.99)
    assert not hard_goals_hold(judge_goals([wished, missed], baseline=BASELINE, final=FINAL))
