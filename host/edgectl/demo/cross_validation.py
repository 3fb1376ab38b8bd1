# SPDX-License-Identifier: Apache-2.0
"""The recipe over five folds: every scan is judged once, by a model that never saw it.

A single split of 1,797 scans cannot resolve a point of accuracy; the pooled, paired comparison can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgectl.compress.paired_bound import PairedDrop, paired_drop
from edgectl.cores import NEVER_PAUSED, Work

BASELINE = "baseline"

if TYPE_CHECKING:
    from edgectl.compress.data import DataSplits
    from edgectl.compress.pipeline import PipelineObserver, StageResult
    from edgectl.compress.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold's data and what each stage made of the model; the first result is the trained baseline."""

    data: DataSplits
    results: tuple[StageResult, ...]


@dataclass(frozen=True, slots=True)
class PooledStage:
    """Accuracy of one stage over the scans of all folds, and the paired drop from the baseline (None for itself)."""

    name: str
    accuracy: float
    drop: PairedDrop | None


def run_fold(recipe: Recipe, data: DataSplits, *, observer: PipelineObserver, work: Work = NEVER_PAUSED) -> Fold:
    """Run the recipe, whose first stage trains the baseline; the untrained model is left out of the results.

    Raises:
        CompileError: see `run_stages`.
    """
    from edgectl.compress.pipeline import initial_state, run_stages

    with work.working("model"):
        state = initial_state(recipe, data)
    _, trained, *compressed = run_stages(state, data, recipe.stages, seed=recipe.seed, observer=observer, work=work)
    return Fold(data, (replace(trained, name=BASELINE), *compressed))


def pool(folds: Sequence[Fold]) -> tuple[PooledStage, ...]:
    """Every stage's accuracy over all folds together, and its paired drop from the first."""
    correct = [np.concatenate(stage) for stage in zip(*([r.correct for r in f.results] for f in folds), strict=True)]
    names = [result.name for result in folds[0].results]
    return tuple(
        PooledStage(name, float(hits.mean()), paired_drop(correct[0], hits) if index else None)
        for index, (name, hits) in enumerate(zip(names, correct, strict=True))
    )
