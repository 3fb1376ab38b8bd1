# SPDX-License-Identifier: Apache-2.0
"""What a search found, ready to be shown: its candidates, which of them are Pareto-optimal, how values are written.

The front is the one over all objectives. A chart has two axes, so some of its members may look dominated there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgectl.search.evaluator import Json
from edgectl.search.objectives import INSTRUCTIONS, Direction, Objective, check_objectives, directions_of
from edgectl.search.pareto import pareto_indices
from edgectl.search.trial import Trial, TrialState

KIB = 1024


@dataclass(frozen=True, slots=True)
class Axis:
    """How one objective is shown: `factor` takes the recorded value to the unit of the label."""

    objective: str
    direction: Direction
    label: str
    unit: str
    factor: float
    digits: int

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def scaled(self, value: float) -> float:
        return value * self.factor

    def text(self, value: float) -> str:
        number = f"{self.scaled(value):,.{self.digits}f}"
        return f"{number} {self.unit}" if self.unit else number


@dataclass(frozen=True, slots=True)
class Front:
    """Complete trials by candidate, the indices of the Pareto-optimal ones among them, the failed trials, the axes.

    `axes` holds one axis for each objective: vertical, horizontal, size of a point; then any others.
    """

    name: str
    complete: tuple[Trial, ...]
    pareto: tuple[int, ...]
    failed: tuple[Trial, ...]
    axes: tuple[Axis, ...]

    @property
    def members(self) -> tuple[Trial, ...]:
        """The Pareto-optimal trials, best first by the horizontal axis (the vertical one where there is no other)."""
        axis = self.axes[min(1, len(self.axes) - 1)]
        sign = -1.0 if axis.direction == "maximize" else 1.0
        return tuple(sorted((self.complete[i] for i in self.pareto), key=lambda t: sign * t.objectives[axis.objective]))

    @property
    def dominated(self) -> tuple[Trial, ...]:
        chosen = set(self.pareto)
        return tuple(trial for i, trial in enumerate(self.complete) if i not in chosen)


def build_front(trials: Sequence[Trial], objectives: Sequence[Objective], *, name: str) -> Front:
    """The front of a study's finished trials; tries without a result are left out."""
    checked = check_objectives(objectives)
    ordered = sorted(trials, key=lambda trial: trial.candidate)
    complete = tuple(trial for trial in ordered if trial.state is TrialState.COMPLETE)
    points = [[trial.objectives[objective.name] for objective in checked] for trial in complete]
    return Front(
        name=name,
        complete=complete,
        pareto=pareto_indices(points, directions_of(checked)),
        failed=tuple(trial for trial in ordered if trial.state is TrialState.FAILED),
        axes=tuple(_axis(o, [trial.objectives[o.name] for trial in complete]) for o in _by_axis(checked)),
    )


def front_document(front: Front) -> dict[str, Json]:
    """`candidates` (genome, objectives and figures of each complete one), `pareto` (indices into it) and `failed`."""
    candidates: list[Json] = [
        {"genome": _genome(trial), **trial.objectives, "candidate": trial.candidate, "figures": dict(trial.figures)}
        for trial in front.complete
    ]
    failed: list[Json] = [
        {"genome": _genome(trial), "reason": trial.reason, "error_code": trial.error_code, "candidate": trial.candidate}
        for trial in front.failed
    ]
    return {"name": front.name, "candidates": candidates, "pareto": list(front.pareto), "failed": failed}


def front_table(front: Front) -> str:
    """The Pareto front as lines of text under a header, then one line that counts the rest."""
    lines = []
    if front.complete:
        names = list(front.complete[0].genome)
        rows = [["candidate", *(axis.label for axis in front.axes), *names]]
        rows += [
            [
                f"#{trial.candidate}",
                *(axis.text(trial.objectives[axis.objective]) for axis in front.axes),
                *(genome_text(trial.genome[name]) for name in names),
            ]
            for trial in front.members
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, count_text(front)])


def count_text(front: Front) -> str:
    """How many candidates there were and what became of them, in one sentence."""
    total = len(front.complete) + len(front.failed)
    failed = f", {len(front.failed)} failed" if front.failed else ""
    noun = "candidate" if total == 1 else "candidates"
    return f"{total} {noun}: {len(front.pareto)} on the Pareto front, {len(front.dominated)} dominated{failed}."


def genome_text(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _genome(trial: Trial) -> dict[str, Json]:
    return dict(trial.genome)


def _by_axis(objectives: Sequence[Objective]) -> list[Objective]:
    """Vertical: the first to be maximized, else the first. Then the others in the order given."""
    vertical = next((o for o in objectives if o.direction == "maximize"), objectives[0])
    return [vertical, *(o for o in objectives if o is not vertical)]


def _axis(objective: Objective, values: Sequence[float]) -> Axis:
    name, direction = objective.name, objective.direction
    if name == "accuracy":
        return Axis(name, direction, "accuracy", "%", 100.0, 2)
    if name.endswith("_ms"):
        small = max(values, default=1.0) < 1.0
        label = f"{name.removesuffix('_ms')} latency"
        return Axis(name, direction, label, "µs" if small else "ms", 1000.0 if small else 1.0, 1 if small else 2)
    if name.endswith("_bytes"):
        return Axis(name, direction, f"{name.removesuffix('_bytes')} size", "KiB", 1 / KIB, 1)
    if name == INSTRUCTIONS.name:
        small = max(values, default=0.0) < 1e6
        return Axis(
            name, direction, "instructions", "" if small else "million", 1.0 if small else 1e-6, 0 if small else 3
        )
    return Axis(name, direction, name, "", 1.0, 3)
