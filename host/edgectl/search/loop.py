# SPDX-License-Identifier: Apache-2.0
"""The search loop: ask, record, evaluate, record, tell; one candidate at a time.

Each candidate's randomness comes from (seed, candidate number) alone, so that an interrupted search goes on exactly as
it would have done.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgectl_protos.errors import (
    AuthenticationError,
    CompileError,
    DatasetError,
    EdgectlError,
    IncompatibleBundleError,
    ProtocolError,
    StateError,
    UnreachableError,
    UsageError,
)

from edgectl.search.evaluator import Evaluation, Evaluator, ProgressCallback
from edgectl.search.samplers.protocol import Sampler
from edgectl.search.space import Genome, GenomeKey, SearchSpace
from edgectl.search.storage import sole_searcher
from edgectl.search.study import Study
from edgectl.search.trial import Trial, TrialState

ASKS = 8  # of the sampler for one new genome, before its last answer is mutated
MUTATIONS = 64

# These say nothing of the candidate: recording them would spend the whole budget on an unplugged board or a wrong path.
ENDS_THE_SEARCH = (
    UnreachableError,
    AuthenticationError,
    ProtocolError,
    IncompatibleBundleError,
    DatasetError,
    StateError,
    UsageError,
)


class SearchObserver(Protocol):
    def candidate_started(self, trial: Trial, total: int) -> None: ...

    def candidate_advanced(self, trial: Trial, phase: str, fraction: float) -> None: ...

    def candidate_finished(self, trial: Trial) -> None: ...


class SilentObserver:
    def candidate_started(self, trial: Trial, total: int) -> None: ...

    def candidate_advanced(self, trial: Trial, phase: str, fraction: float) -> None: ...

    def candidate_finished(self, trial: Trial) -> None: ...


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """The study's finished trials in the order of candidates; `message` says what is amiss, if anything is."""

    trials: tuple[Trial, ...]
    exhausted: bool
    message: str


def candidate_rng(seed: int, candidate: int) -> random.Random:
    """The randomness that belongs to one candidate: the same in every process and on every platform."""
    digest = hashlib.sha256(f"edgectl search {seed} {candidate}".encode()).digest()
    return random.Random(int.from_bytes(digest[:16], "big"))


def run_search(
    space: SearchSpace,
    evaluator: Evaluator,
    sampler: Sampler,
    study: Study,
    *,
    candidates: int,
    seed: int,
    observer: SearchObserver | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchOutcome:
    """Evaluates until the study holds `candidates` results, failures included; resumes what an earlier run left.

    Raises:
        UsageError: `candidates` is below 1.
        StateError: another process searches in this study.
        EdgectlError: one of `ENDS_THE_SEARCH`, from the evaluator; the candidate will be asked again.
        BaseException: what else the evaluator raised, Ctrl-C included; likewise.
    """
    if candidates < 1:
        raise UsageError(f"the search has {candidates} candidates", expected="1 or more")
    watching = observer or SilentObserver()
    with sole_searcher(study.location):
        study.recover()
        for trial in study.finished():
            sampler.tell(trial)
        while len(history := study.finished()) < candidates:
            started = _next_trial(space, sampler, study, history=history, seed=seed)
            if started is None:
                message = f"the search space is exhausted: all of its {space.size} genomes have been evaluated"
                return SearchOutcome(history, exhausted=True, message=message)
            watching.candidate_started(started, candidates)
            ended = _evaluate(started, evaluator, study, observer=watching, clock=clock)
            sampler.tell(ended)
            watching.candidate_finished(ended)
        return SearchOutcome(history, exhausted=False, message=_why_nothing(history))


def _why_nothing(history: Sequence[Trial]) -> str:
    if any(trial.state is TrialState.COMPLETE for trial in history):
        return ""
    return f"no candidate succeeded; the last one failed: {history[-1].reason}"


def _next_trial(
    space: SearchSpace, sampler: Sampler, study: Study, *, history: Sequence[Trial], seed: int
) -> Trial | None:
    if again := study.unfinished():
        return study.start(again.genome, candidate=again.candidate)
    candidate = study.next_candidate()
    known = {space.key(trial.genome) for trial in history}
    genome = propose(space, sampler, history=history, known=known, rng=candidate_rng(seed, candidate))
    return None if genome is None else study.start(genome, candidate=candidate)


def propose(
    space: SearchSpace, sampler: Sampler, *, history: Sequence[Trial], known: set[GenomeKey], rng: random.Random
) -> Genome | None:
    """A genome that is not `known`; None when there is none left.

    The sampler is asked up to ASKS times; then its last answer is mutated; then the space is walked from some place.
    """
    if space.size is not None and len(known) >= space.size:
        return None
    for _ in range(ASKS):
        genome = sampler.ask(history, rng)
        space.validate(genome)
        if space.key(genome) not in known:
            return genome
    for _ in range(MUTATIONS):
        genome = space.mutate(genome, rng)
        if space.key(genome) not in known:
            return genome
    if space.size is None:
        return None
    start = rng.randrange(space.size)
    walk = (space.nth((start + step) % space.size) for step in range(len(known) + 1))
    return next((genome for genome in walk if space.key(genome) not in known), None)


def _evaluate(
    trial: Trial, evaluator: Evaluator, study: Study, *, observer: SearchObserver, clock: Callable[[], float]
) -> Trial:
    def advanced(phase: str, fraction: float) -> None:
        observer.candidate_advanced(trial, phase, fraction)

    begun = clock()
    try:
        evaluation = _checked(evaluator, trial.genome, study, progress=advanced)
    except ENDS_THE_SEARCH as error:
        study.interrupt(trial, reason=f"interrupted: {error.message}")
        raise
    except EdgectlError as error:
        return study.fail(trial, error, seconds=clock() - begun)
    except BaseException as error:
        study.interrupt(trial, reason=f"interrupted: {type(error).__name__}")
        raise
    return study.complete(trial, evaluation, seconds=clock() - begun)


def _checked(evaluator: Evaluator, genome: Genome, study: Study, *, progress: ProgressCallback) -> Evaluation:
    evaluation = evaluator.evaluate(dict(genome), progress=progress)
    for objective in study.objectives:
        value = evaluation.objectives[objective.name]  # a KeyError here is the evaluator's defect
        if not math.isfinite(value):
            raise CompileError(f"{objective.name} of the candidate is {value}", expected="a finite number")
    return evaluation
