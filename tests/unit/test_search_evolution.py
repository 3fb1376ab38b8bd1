# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest
from edgectl.search.loop import candidate_rng, propose
from edgectl.search.objectives import directions_of
from edgectl.search.pareto import hypervolume_2d
from edgectl.search.samplers import EvolutionSampler, RandomSampler, Sampler
from edgectl.search.space import GenomeKey
from edgectl.search.testing.separable import OBJECTIVES, SeparableEvaluator, separable_space
from edgectl.search.trial import Trial, TrialState
from edgectl_protos.errors import UsageError

SPACE = separable_space(6)
BUDGET = 120
REFERENCE = (-5.0, 60.0)  # worse than what random sampling finds, in both objectives


def searched(sampler: Sampler, *, seed: int) -> list[Trial]:
    history: list[Trial] = []
    known: set[GenomeKey] = set()
    for candidate in range(BUDGET):
        genome = propose(SPACE, sampler, history=history, known=known, rng=candidate_rng(seed, candidate))
        assert genome is not None
        known.add(SPACE.key(genome))
        evaluation = SeparableEvaluator().evaluate(genome, progress=lambda *_: None)
        trial = Trial(candidate, candidate, genome, TrialState.COMPLETE, evaluation.objectives)
        sampler.tell(trial)
        history.append(trial)
    return history


def hypervolume(trials: list[Trial]) -> float:
    points = [[trial.objectives[o.name] for o in OBJECTIVES] for trial in trials]
    return hypervolume_2d(points, directions_of(OBJECTIVES), reference=REFERENCE)


@pytest.mark.parametrize("seed", range(5))
def test_evolution_dominates_more_than_random_sampling_for_the_same_budget(seed: int) -> None:
    evolved = hypervolume(searched(EvolutionSampler(SPACE, OBJECTIVES), seed=seed))
    drawn = hypervolume(searched(RandomSampler(SPACE), seed=seed))
    assert evolved > 1.1 * drawn


def test_children_come_from_the_pareto_front_and_not_from_the_dominated() -> None:
    sampler = EvolutionSampler(SPACE, OBJECTIVES, population=2, warmup=2, crossover=0.0)
    good, bad = SPACE.nth(16**6 - 1), SPACE.nth(0)
    history = [Trial(i, i, bad, TrialState.COMPLETE, {"accuracy": 0.1, "p50_ms": 9.0 + i}) for i in range(6)] + [
        Trial(i, i, good, TrialState.COMPLETE, {"accuracy": 0.9, "p50_ms": 1.0}) for i in (6, 7)
    ]
    child = sampler.ask(history, random.Random(0))
    assert sum(int(value) > 8 for value in child.values()) >= 4


def test_warm_up_counts_successes_alone() -> None:
    sampler = EvolutionSampler(SPACE, OBJECTIVES, warmup=4)
    only = SPACE.nth(0)
    failed = [Trial(i, i, only, TrialState.FAILED) for i in range(8)]
    done = [Trial(i, i, only, TrialState.COMPLETE, {"accuracy": 0.5, "p50_ms": 1.0}) for i in range(8, 11)]
    assert sampler.ask(failed + done, random.Random(3)) == RandomSampler(SPACE).ask([], random.Random(3))


@pytest.mark.parametrize("settings", [{"population": 1}, {"warmup": 1}, {"crossover": 1.5}])
def test_settings_that_leave_no_parents_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        EvolutionSampler(SPACE, OBJECTIVES, **settings)  # type: ignore[arg-type]
