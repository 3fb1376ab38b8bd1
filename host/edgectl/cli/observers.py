# SPDX-License-Identifier: Apache-2.0
"""What the workflows report, shown as progress: a pipeline's stages, a search's candidates."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edgectl.cli.progress import Progress, Task
from edgectl.cli.text import milliseconds_text, size_text

if TYPE_CHECKING:
    from edgectl.compress.pipeline import StageResult
    from edgectl.search.trial import Trial
    from edgectl.workflows.stage_figures import StageFigures


class StageProgress:
    """A `PipelineObserver`: a task for each stage, and one for what is done with it afterwards.

    A context manager, so that a failing stage closes its task.
    """

    def __init__(self, progress: Progress, *, after: str) -> None:
        self._progress = progress
        self._after = after
        self._stack = ExitStack()
        self._task: Task | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def stage_started(self, name: str, steps: int) -> None:
        self._stack.close()
        self._task = self._stack.enter_context(self._progress.task(name, total=steps or None))

    def stage_advanced(self, loss: float) -> None:
        if self._task is not None:
            self._task.advance(note=f"loss {loss:.4g}")

    def stage_finished(self, result: StageResult) -> None:
        self._stack.close()
        self._task = None
        judged = "".join(f"{metric_text(name, value)}, " for name, value in result.metrics.items())
        self._progress.say(f"{result.name}: {judged}{result.parameters:,} parameters, {result.macs:,} MACs")
        for note in result.notes:
            self._progress.say(f"{result.name}: {note}")
        self._stack.enter_context(self._progress.task(f"{result.name}: {self._after}"))

    def figures_known(self, figures: StageFigures) -> None:
        """The stage's program is lowered, and timed where there is a device."""
        self._stack.close()
        timed = f", p50 {milliseconds_text(figures.p50_ms)} ms" if figures.p50_ms is not None else ""
        timed += f", {figures.insn:,.0f} insn" if figures.insn is not None else ""
        size = size_text(figures.program_bytes)
        self._progress.say(f"{figures.name}: program {size}, {figures.delegation.fraction:.1%} delegated{timed}")
        if figures.untimed:
            self._progress.say(f"{figures.name}: not timed: {figures.untimed}")


def metric_text(name: str, value: float) -> str:
    """`accuracy 97.50%`; what is no share is shown as a number."""
    return f"{name} {value:.2%}" if 0 <= value <= 1 else f"{name} {value:.4g}"


class SearchProgress:
    """A `SearchObserver`: one task for the search, with an estimate of what is left, and one for the candidate."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._search = ExitStack()
        self._candidate = ExitStack()
        self._all: Task | None = None
        self._one: Task | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._candidate.__exit__(kind, error, trace)
        self._search.__exit__(kind, error, trace)

    def candidate_started(self, trial: Trial, total: int) -> None:
        if self._all is None:
            # A resumed search begins where it was left.
            task = self._progress.task("search", total=total, done=trial.candidate, unit="candidates")
            self._all = self._search.enter_context(task)
        self._one = self._candidate.enter_context(self._progress.task(f"candidate {trial.candidate}"))

    def candidate_advanced(self, trial: Trial, phase: str, fraction: float) -> None:  # noqa: ARG002 - the protocol's
        if self._one is not None:
            self._one.reach(0, note=f"{phase} {fraction:.0%}" if 0 < fraction < 1 else phase)

    def candidate_finished(self, trial: Trial) -> None:
        if self._one is not None:
            self._one.reach(1, total=1, note=trial_text(trial))
        self._candidate.close()
        self._one = None
        if self._all is not None:
            self._all.advance()


def trial_text(trial: Trial) -> str:
    """How a try ended, in one line."""
    if trial.reason:
        return f"failed: {trial.reason}"
    return ", ".join(_objective_text(name, value) for name, value in trial.objectives.items())


def _objective_text(name: str, value: float) -> str:
    if name.endswith("_ms"):
        return f"{name.removesuffix('_ms')} {milliseconds_text(value)} ms"
    if name == "insn":
        return f"{value:,.0f} insn"
    if name.endswith("_bytes"):
        return f"{name.removesuffix('_bytes')} {size_text(value)}"
    return f"{name} {value:.2%}" if name == "accuracy" else f"{name} {value:.4g}"
