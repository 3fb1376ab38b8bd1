# SPDX-License-Identifier: Apache-2.0
"""What a recipe wants of its result: goals on measured figures, judged against them at the end. No torch.

Which way is better is known of each metric; of a metric of the user's own, more is better. A degradation or an
improvement is a share of the baseline where less is better (bytes, milliseconds), and a difference where more is
(0.01 of an accuracy is a point).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from edgectl.compress.rules import Real, Text, Whole
from edgectl.compress.stages import DEVICE_NAME, Checked

LESS_IS_BETTER = frozenset(
    {"p50_ms", "p95_ms", "peak_bytes", "planned_bytes", "program_bytes", "download_bytes", "macs", "parameters"}
    | {"nonzeros", "insn", "loss", "error", "eer", "character_error", "word_error"}
)
HARD = 1
_METRIC = Text(r"[A-Za-z_][A-Za-z0-9_@.-]{0,62}", "a metric's name")


def _ruled(rule: Any, **keywords: Any) -> Any:
    return field(metadata={"rule": rule}, **keywords)


@dataclass(frozen=True, slots=True)
class Goal(Checked):
    """One wish; of priority 1 it must hold, of a higher number it is only reported."""

    exactly_one: ClassVar[tuple[str, ...]] = ("threshold", "max_degradation", "min_improvement")

    metric: str | None = _ruled(_METRIC, default=None)
    device: str | None = _ruled(DEVICE_NAME, default=None)
    threshold: float | None = _ruled(Real(-1e15, 1e15), default=None)
    max_degradation: float | None = _ruled(Real(0, 1e15), default=None)
    min_improvement: float | None = _ruled(Real(0, 1e15), default=None)
    priority: int = _ruled(Whole(1, 100), default=HARD)


@dataclass(frozen=True, slots=True)
class GoalOutcome:
    """Whether a goal held; `seen` is what was compared with what was wanted, NaN where it was not measured."""

    goal: Goal
    held: bool
    seen: float
    told: str

    def document(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "metric": self.goal.metric,
            "device": self.goal.device or "",
            "priority": self.goal.priority,
            "held": self.held,
            "seen": None if math.isnan(self.seen) else self.seen,
            "told": self.told,
        }


def judge_goals(
    goals: Sequence[Goal], *, baseline: Mapping[str, float | None], final: Mapping[str, float | None], device: str = ""
) -> tuple[GoalOutcome, ...]:
    """Each goal against the figures of the model as it came and as it is now.

    Args:
        goals: in order.
        baseline: figures by metric, None or missing where there are none.
        final: the same of the last stage.
        device: what latency and memory were measured on, empty where they were not.
    """
    return tuple(_judged(goal, baseline, final, device) for goal in goals)


def hard_goals_hold(outcomes: Sequence[GoalOutcome]) -> bool:
    """Whether every goal of priority 1 held."""
    return all(outcome.held for outcome in outcomes if outcome.goal.priority == HARD)


def _judged(
    goal: Goal, baseline: Mapping[str, float | None], final: Mapping[str, float | None], device: str
) -> GoalOutcome:
    metric = goal.metric or ""
    after, before = final.get(metric), baseline.get(metric)
    if goal.device and goal.device != device:
        return GoalOutcome(goal, False, math.nan, f"{metric} was not measured on {goal.device}")  # noqa: FBT003
    if after is None:
        return GoalOutcome(goal, False, math.nan, f"{metric} was not measured")  # noqa: FBT003
    less = metric in LESS_IS_BETTER
    if goal.threshold is not None:
        held = after <= goal.threshold if less else after >= goal.threshold
        return GoalOutcome(
            goal, held, after, f"{metric} is {after:g}, wanted {'<=' if less else '>='} {goal.threshold:g}"
        )
    if before is None or (less and before == 0):
        return GoalOutcome(goal, False, math.nan, f"{metric} of the baseline was not measured")  # noqa: FBT003
    gain = (before - after) / before if less else after - before
    if goal.max_degradation is not None:
        told = (
            f"{metric} went from {before:g} to {after:g}, a degradation of at most {goal.max_degradation:g} is wanted"
        )
        return GoalOutcome(goal, -gain <= goal.max_degradation, max(0.0, -gain), told)
    wanted = goal.min_improvement or 0.0
    told = f"{metric} went from {before:g} to {after:g}, at least {wanted:g} better is wanted"
    return GoalOutcome(goal, gain >= wanted, gain, told)
