# SPDX-License-Identifier: Apache-2.0
"""What every sampler must keep. Inherit from `SamplerContract` in a test class and supply `make_sampler`.

Only the standard library is needed to import it; pytest collects the inherited tests.
"""
# ruff: noqa: S101

from __future__ import annotations

import random
from abc import ABC, abstractmethod

from edgectl.search.objectives import Objective
from edgectl.search.samplers.protocol import Sampler
from edgectl.search.space import Choice, Floats, Genome, Integers, SearchSpace
from edgectl.search.trial import Trial, TrialState

OBJECTIVES = (Objective("accuracy", "maximize"), Objective("p50_ms", "minimize"))
MIXED_SPACE = SearchSpace(
    (
        Integers("model.width", 8, 64, 8),
        Choice("quantize.scheme", ("none", "int8")),
        Floats("prune.macs", 0.0, 0.6, 0.1),
        Floats("finetune.learning_rate", 1e-4, 1e-2),
        Integers("fixed", 3, 3),
    )
)
ASKS = 40


class SamplerContract(ABC):
    @abstractmethod
    def make_sampler(self, space: SearchSpace, objectives: tuple[Objective, ...]) -> Sampler:
        """A fresh sampler; anything that warms up must do so within 20 candidates."""

    def test_asks_lie_within_the_space(self) -> None:
        for trial in self._run(seed=1):
            MIXED_SPACE.validate(trial.genome)

    def test_same_seed_gives_the_same_genomes(self) -> None:
        assert [t.genome for t in self._run(seed=2)] == [t.genome for t in self._run(seed=2)]

    def test_another_seed_gives_other_genomes(self) -> None:
        assert [t.genome for t in self._run(seed=3)] != [t.genome for t in self._run(seed=4)]

    def test_a_sampler_told_the_past_goes_on_as_if_it_had_never_stopped(self) -> None:
        whole = self._run(seed=5)
        past = whole[: ASKS // 2]
        resumed = self.make_sampler(MIXED_SPACE, OBJECTIVES)
        for trial in past:
            resumed.tell(trial)
        assert self._continue(resumed, past, seed=5) == whole

    def test_an_empty_history_is_answered(self) -> None:
        sampler = self.make_sampler(MIXED_SPACE, OBJECTIVES)
        MIXED_SPACE.validate(sampler.ask([], random.Random(0)))

    def test_a_history_of_failures_alone_is_answered(self) -> None:
        sampler = self.make_sampler(MIXED_SPACE, OBJECTIVES)
        rng = random.Random(0)
        failed = [Trial(i, i, MIXED_SPACE.sample(rng), TrialState.FAILED, reason="does not lower") for i in range(ASKS)]
        for trial in failed:
            sampler.tell(trial)
        MIXED_SPACE.validate(sampler.ask(failed, rng))

    def test_failures_among_successes_are_answered(self) -> None:
        for trial in self._run(seed=6, fail_every=3):
            MIXED_SPACE.validate(trial.genome)

    def test_the_history_is_left_as_it_was(self) -> None:
        sampler = self.make_sampler(MIXED_SPACE, OBJECTIVES)
        history = self._run(seed=7)
        before = list(history), [dict(trial.genome) for trial in history]
        sampler.ask(history, random.Random(0))
        assert (history, [dict(trial.genome) for trial in history]) == before

    def test_a_space_of_one_genome_is_answered(self) -> None:
        space = SearchSpace((Integers("only", 1, 1),))
        sampler = self.make_sampler(space, OBJECTIVES)
        history = [Trial(i, i, {"only": 1}, TrialState.COMPLETE, {"accuracy": 0.5, "p50_ms": 1.0}) for i in range(ASKS)]
        assert sampler.ask(history, random.Random(0)) == {"only": 1}

    def _run(self, *, seed: int, fail_every: int = 0) -> list[Trial]:
        return self._continue(self.make_sampler(MIXED_SPACE, OBJECTIVES), [], seed=seed, fail_every=fail_every)

    @staticmethod
    def _continue(sampler: Sampler, past: list[Trial], *, seed: int, fail_every: int = 0) -> list[Trial]:
        history = list(past)
        for number in range(len(past), ASKS):
            genome = sampler.ask(history, random.Random(seed * 1000 + number))
            failed = fail_every > 0 and number % fail_every == 0
            trial = Trial(
                number,
                number,
                genome,
                TrialState.FAILED if failed else TrialState.COMPLETE,
                objectives={} if failed else _objectives_of(genome),
            )
            sampler.tell(trial)
            history.append(trial)
        return history


def _objectives_of(genome: Genome) -> dict[str, float]:
    width = float(genome["model.width"])
    return {"accuracy": 1.0 - 1.0 / width - float(genome["prune.macs"]), "p50_ms": width}
