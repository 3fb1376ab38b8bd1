# SPDX-License-Identifier: Apache-2.0
"""The demo's search: the shipped study file, every candidate timed on the demo's own agent."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl.cores import NEVER_PAUSED, Work
from edgectl.search.front import Front
from edgectl.workflows.search_file import parse_search
from edgectl.workflows.search_run import search

if TYPE_CHECKING:
    from edgectl.demo.run import Progress, Task
    from edgectl.lab.client import AgentClient
    from edgectl.lab.quiet import TimedJob
    from edgectl.search.trial import Trial


def search_digits(
    *,
    candidates: int,
    seed: int,
    workspace: Path,
    client: AgentClient,
    progress: Progress,
    work: Work = NEVER_PAUSED,
    timed: TimedJob = nullcontext,
) -> tuple[Front, str]:
    """The front of `candidates` candidates, and the name of the sampler that chose them."""
    text = resources.files("edgectl.demo").joinpath("digits-search.yaml").read_text("utf-8")
    configuration = replace(parse_search(text, source="digits-search.yaml"), seed=seed)
    with progress.task("search on the device", total=candidates) as task:
        found = search(
            configuration,
            output_dir=workspace,
            client=client,
            candidates=candidates,
            observer=_CandidateCounter(task),
            work=work,
            timed=timed,
        )
    return found.front, configuration.sampler.kind


class _CandidateCounter:
    def __init__(self, task: Task) -> None:
        self._task = task

    def candidate_started(self, trial: Trial, total: int) -> None: ...

    def candidate_advanced(self, trial: Trial, phase: str, fraction: float) -> None:
        self._task.advance(0, note=f"{trial.candidate}: {phase}" + (f" {fraction:.0%}" if fraction else ""))

    def candidate_finished(self, trial: Trial) -> None:
        found = ", ".join(f"{name} {value:.4g}" for name, value in trial.objectives.items())
        self._task.advance(note=found or trial.reason)
