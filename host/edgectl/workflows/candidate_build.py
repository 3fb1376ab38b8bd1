# SPDX-License-Identifier: Apache-2.0
"""A candidate's recipe made into a bundle: trained on part of the training items, judged on the rest. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl.compress.recipe import Recipe, recipe_document
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.search.evaluator import ProgressCallback
from edgectl.workflows.candidate import BuiltCandidate
from edgectl.workflows.compress_run import content_version
from edgectl.workflows.validation_split import for_validation

if TYPE_CHECKING:
    from edgectl.compress.data import DataSplits
    from edgectl.compress.pipeline import StageResult


class RecipeBuilder:
    """Implements `CandidateBuilder`. The data is loaded and split once and shared by all candidates.

    Args:
        data: the recipe's data entry point.
        validation: part of the training items to judge on.
        seed: of the split.
        work: is asked to pause.
        clock: seconds, for the figures.
    """

    def __init__(
        self,
        data: str,
        *,
        validation: float,
        seed: int,
        work: Work = NEVER_PAUSED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = data
        self._validation = validation
        self._seed = seed
        self._work = work
        self._clock = clock
        self._splits: DataSplits | None = None

    def build(self, recipe: Recipe, into: Path, *, progress: ProgressCallback) -> BuiltCandidate:
        with self._work.working("candidate"):
            return self._built(recipe, into, progress)

    def _built(self, recipe: Recipe, into: Path, progress: ProgressCallback) -> BuiltCandidate:
        from edgectl.compress.pipeline import initial_state, run_stages
        from edgectl.lower.bundle import write_bundle
        from edgectl.lower.check import check_outputs
        from edgectl.lower.golden import make_golden
        from edgectl.lower.program import lower
        from edgectl.targets import load_target

        data = self.splits()
        begun, work = self._clock(), self._work
        state = initial_state(recipe, data)
        observer = _ProgressObserver(progress)
        *_, last = run_stages(state, data, recipe.stages, seed=recipe.seed, observer=observer, work=work)
        trained = self._clock()
        progress("lower", 0.0)
        program = lower(last.state, work=work)
        work.breathe()
        golden = make_golden(last.state, data.test_inputs)
        check_outputs(program, golden)
        name = f"{recipe.name}-candidate"
        bundle = into / f"{name}.edge"
        write_bundle(
            bundle,
            program=program,
            name=name,
            version=content_version(recipe, program.data),
            golden=golden.cases,
            tolerance=golden.tolerance,
            labels=data.labels,
            target=load_target(recipe.target),
            provenance={"recipe": recipe_document(recipe)},
        )
        return BuiltCandidate(
            bundle=bundle,
            name=name,
            accuracy=last.metrics["accuracy"],
            parameters=last.parameters,
            macs=last.macs,
            program_bytes=len(program.data),
            delegated_fraction=program.delegation.fraction,
            seconds={"train": trained - begun, "lower": self._clock() - trained},
        )

    def splits(self) -> DataSplits:
        """What candidates train on, and as its test items what they are judged on."""
        if self._splits is None:
            from edgectl.compress.data import load_splits

            self._splits = for_validation(load_splits(self._spec), fraction=self._validation, seed=self._seed)
        return self._splits


class _ProgressObserver:
    """Turns the pipeline's steps into parts of a phase."""

    def __init__(self, progress: ProgressCallback) -> None:
        self._progress = progress
        self._phase, self._steps, self._done = "", 1, 0

    def stage_started(self, name: str, steps: int) -> None:
        self._phase, self._steps, self._done = name, max(1, steps), 0
        self._progress(name, 0.0)

    def stage_advanced(self, loss: float) -> None:  # noqa: ARG002
        self._done += 1
        self._progress(self._phase, min(1.0, self._done / self._steps))

    def stage_finished(self, result: StageResult) -> None:
        self._progress(result.name, 1.0)
