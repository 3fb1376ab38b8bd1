# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from edgectl.cli.observers import SearchProgress, StageProgress, trial_text
from edgectl.cli.progress import PlainProgress
from edgectl.lower.delegation import DelegationReport
from edgectl.search.trial import Trial, TrialState

DELEGATION = DelegationReport({"aten.linear.default": 2}, {})


@dataclass(frozen=True, slots=True)
class Result:
    """The part of a `StageResult` that is shown."""

    name: str = "prune"
    metrics: Mapping[str, float] = field(default_factory=lambda: {"accuracy": 0.9725})
    parameters: int = 150_000
    macs: int = 2_000_000
    notes: tuple[str, ...] = ("conv1 stays whole: its output is returned",)


@dataclass(frozen=True, slots=True)
class Figures:
    """The part of `StageFigures` that is shown."""

    name: str = "prune"
    program_bytes: int = 40 << 10
    delegation: DelegationReport = DELEGATION
    p50_ms: float | None = 0.12345
    untimed: str = ""
    insn: float | None = None


def _trial(candidate: int, **changes: object) -> Trial:
    objectives = {"accuracy": 0.97, "p50_ms": 0.12345, "program_bytes": 2048.0}
    values: dict[str, object] = {"state": TrialState.COMPLETE, "objectives": objectives} | changes
    return Trial(number=candidate, candidate=candidate, genome={"width": 8}, **values)  # type: ignore[arg-type]


def test_stage_shows_its_result_and_notes() -> None:
    stream = io.StringIO()
    with StageProgress(PlainProgress(stream), after="lower") as observer:
        observer.stage_started("prune", 3)
        observer.stage_advanced(0.5)
        observer.stage_finished(Result())  # type: ignore[arg-type]
        observer.figures_known(Figures())  # type: ignore[arg-type]
    assert stream.getvalue().splitlines() == [
        "prune ...",
        "prune: done in 0.0 s (loss 0.5)",
        "prune: accuracy 97.25%, 150,000 parameters, 2,000,000 MACs",
        "prune: conv1 stays whole: its output is returned",
        "prune: lower ...",
        "prune: lower: done in 0.0 s",
        "prune: program 40.0 KiB, 100.0% delegated, p50 0.1235 ms",
    ]


def test_a_stage_that_was_counted_shows_instructions() -> None:
    stream = io.StringIO()
    with StageProgress(PlainProgress(stream), after="lower") as observer:
        observer.figures_known(Figures(p50_ms=None, insn=12_865_651.0))  # type: ignore[arg-type]
    assert stream.getvalue() == "prune: program 40.0 KiB, 100.0% delegated, 12,865,651 insn\n"


def test_failing_stage_is_not_called_done() -> None:
    stream = io.StringIO()

    def fail() -> None:
        with StageProgress(PlainProgress(stream), after="lower") as observer:
            observer.stage_started("prune", 3)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert stream.getvalue() == "prune ...\n"


def test_resumed_search_estimates_from_where_it_began() -> None:
    stream, now = io.StringIO(), [0.0]
    with SearchProgress(PlainProgress(stream, clock=lambda: now[0])) as observer:
        for candidate in (8, 9):
            observer.candidate_started(_trial(candidate), 12)
            now[0] += 10.0
            observer.candidate_advanced(_trial(candidate), "finetune", 0.5)
            observer.candidate_finished(_trial(candidate))
    lines = stream.getvalue().splitlines()
    assert "candidate 8: (finetune 50%)" in lines
    assert "candidate 8: done in 10 s (accuracy 97.00%, p50 0.1235 ms, program 2.0 KiB)" in lines
    assert "search: 9/12 candidates, about 30 s left" in lines


def test_failed_candidate_says_why() -> None:
    failed = _trial(3, state=TrialState.FAILED, objectives={}, reason="no operator for aten::sort")
    assert trial_text(failed) == "failed: no operator for aten::sort"


def test_interrupted_search_leaves_no_task_done() -> None:
    stream = io.StringIO()

    def interrupt() -> None:
        with SearchProgress(PlainProgress(stream)) as observer:
            observer.candidate_started(_trial(0), 12)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert "done" not in stream.getvalue()
