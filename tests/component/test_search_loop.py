# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from edgectl.search.evaluator import Evaluation, ProgressCallback
from edgectl.search.loop import SearchOutcome, run_search
from edgectl.search.samplers import EvolutionSampler, RandomSampler, Sampler
from edgectl.search.space import Genome, Integers, SearchSpace
from edgectl.search.study import Study
from edgectl.search.testing.separable import OBJECTIVES, SeparableEvaluator, separable_space
from edgectl.search.trial import Trial, TrialState
from edgectl_protos.errors import DatasetError, UnreachableError, UsageError

SPACE = separable_space(4)


class BreaksOnce:
    """Evaluates, but for the n-th call, which raises."""

    def __init__(self, error: BaseException, *, at: int) -> None:
        self._inner = SeparableEvaluator()
        self._error = error
        self._left = at

    def evaluate(self, genome: Genome, *, progress: ProgressCallback) -> Evaluation:
        if self._left == 0:
            self._left = -1
            raise self._error
        self._left -= 1
        return self._inner.evaluate(genome, progress=progress)


class Answers:
    def __init__(self, objectives: dict[str, float]) -> None:
        self._objectives = objectives

    def evaluate(self, genome: Genome, *, progress: ProgressCallback) -> Evaluation:  # noqa: ARG002
        return Evaluation(self._objectives)


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def candidate_started(self, trial: Trial, total: int) -> None:
        self.seen.append(("started", trial.candidate, total))

    def candidate_advanced(self, trial: Trial, phase: str, fraction: float) -> None:
        self.seen.append(("advanced", trial.candidate, phase, fraction))

    def candidate_finished(self, trial: Trial) -> None:
        self.seen.append(("finished", trial.candidate, str(trial.state)))


def study_at(path: Path, space: SearchSpace = SPACE) -> Study:
    return Study.open(str(path), name="s", space=space, objectives=OBJECTIVES)


def evolution() -> Sampler:
    return EvolutionSampler(SPACE, OBJECTIVES, population=6, warmup=4)


def random_sampler() -> Sampler:
    return RandomSampler(SPACE)


def search(path: Path, sampler: Sampler, evaluator: object = None, *, candidates: int = 12) -> SearchOutcome:
    judge = evaluator or SeparableEvaluator()
    return run_search(SPACE, judge, sampler, study_at(path), candidates=candidates, seed=7)  # type: ignore[arg-type]


def genomes(outcome: SearchOutcome) -> list[Genome]:
    return [trial.genome for trial in outcome.trials]


@pytest.mark.parametrize("make", [random_sampler, evolution])
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        ZeroDivisionError("a defect"),
        UnreachableError("the board does not answer"),
        DatasetError("no such file"),
    ],
)
def test_what_is_not_the_candidates_fault_stops_the_search_and_a_resume_ends_as_if_nothing_had_been(
    tmp_path: Path, make: Callable[[], Sampler], error: BaseException
) -> None:
    whole = search(tmp_path / "whole.log", make())
    with pytest.raises(type(error)):
        search(tmp_path / "broken.log", make(), BreaksOnce(error, at=6))
    broken = study_at(tmp_path / "broken.log")
    assert [trial.state for trial in broken.trials()] == [TrialState.COMPLETE] * 6 + [TrialState.INTERRUPTED]
    resumed = search(tmp_path / "broken.log", make())
    assert genomes(resumed) == genomes(whole)
    assert [trial.objectives for trial in resumed.trials] == [trial.objectives for trial in whole.trials]
    assert broken.trials()[7].genome == broken.trials()[6].genome


def test_a_failing_candidate_is_a_result_with_its_reason(tmp_path: Path) -> None:
    failures = {value: f"width {value} does not lower" for value in range(8)}
    outcome = search(tmp_path / "s.log", random_sampler(), SeparableEvaluator(failures=failures))
    failed = [trial for trial in outcome.trials if trial.state is TrialState.FAILED]
    assert len(outcome.trials) == 12
    assert 0 < len(failed) < 12
    assert all(trial.reason == failures[int(trial.genome["x0"])] for trial in failed)


def test_a_search_in_which_nothing_succeeds_says_why(tmp_path: Path) -> None:
    failures = dict.fromkeys(range(16), "the model takes no argument x0")
    outcome = search(tmp_path / "s.log", random_sampler(), SeparableEvaluator(failures=failures), candidates=2)
    assert outcome.message == "no candidate succeeded; the last one failed: the model takes no argument x0"
    assert not outcome.exhausted


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_objective_that_is_no_number_fails_the_candidate(tmp_path: Path, value: float) -> None:
    answers = Answers({"accuracy": value, "p50_ms": 1.0})
    (trial,) = search(tmp_path / "s.log", random_sampler(), answers, candidates=1).trials
    assert trial.state is TrialState.FAILED
    assert "accuracy" in trial.reason


def test_an_evaluator_without_one_of_the_objectives_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        search(tmp_path / "s.log", random_sampler(), Answers({"accuracy": 1.0}), candidates=1)


def test_no_genome_is_evaluated_twice_and_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    space = SearchSpace((Integers("x0", 0, 3), Integers("x1", 0, 2)))
    evaluator = SeparableEvaluator(failures={0: "fails"})
    study = study_at(tmp_path / "s.log", space)
    outcome = run_search(space, evaluator, RandomSampler(space), study, candidates=50, seed=0)
    assert len({space.key(genome) for genome in evaluator.evaluated}) == len(evaluator.evaluated) == 12
    assert outcome.exhausted
    assert "all of its 12 genomes" in outcome.message


def test_a_finished_study_is_not_evaluated_further_and_a_larger_budget_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "s.log"
    search(path, random_sampler(), candidates=5)
    evaluator = SeparableEvaluator()
    assert len(search(path, random_sampler(), evaluator, candidates=5).trials) == 5
    assert evaluator.evaluated == []
    assert len(search(path, random_sampler(), evaluator, candidates=8).trials) == 8
    assert len(evaluator.evaluated) == 3


def test_the_sampler_is_told_every_result_once_in_order_and_before_the_next_ask(tmp_path: Path) -> None:
    class Listener(RandomSampler):
        def __init__(self) -> None:
            super().__init__(SPACE)
            self.told: list[int] = []

        def ask(self, history, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            assert self.told == [trial.candidate for trial in history]
            return super().ask(history, rng)

        def tell(self, trial: Trial) -> None:
            self.told.append(trial.candidate)

    search(tmp_path / "s.log", Listener(), candidates=4)
    resumed = Listener()
    search(tmp_path / "s.log", resumed, candidates=8)
    assert resumed.told == list(range(8))


def test_the_observer_sees_each_candidate_begin_advance_and_end(tmp_path: Path) -> None:
    recorder = Recorder()
    study = study_at(tmp_path / "s.log")
    run_search(SPACE, SeparableEvaluator(), random_sampler(), study, candidates=2, seed=0, observer=recorder)
    assert recorder.seen == [
        (what, candidate, *rest)
        for candidate in (0, 1)
        for what, *rest in (("started", 2), ("advanced", "evaluate", 0.5), ("finished", "complete"))
    ]


def test_a_search_of_no_candidates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 candidates"):
        search(tmp_path / "s.log", random_sampler(), candidates=0)
