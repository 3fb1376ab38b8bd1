# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from edgectl.search.samplers import EvolutionSampler, RandomSampler
from edgectl.search.study import Study
from edgectl.search.testing.separable import OBJECTIVES, separable_space
from edgectl.search.trial import Trial, TrialState

SAMPLERS = {
    RandomSampler: "RandomSampler(space)",
    EvolutionSampler: "EvolutionSampler(space, OBJECTIVES, population=4, warmup=3)",
}

# The process says which candidate it is in and waits there for its end when it is told to.
PROGRAM = """
import sys
from edgectl.search.loop import run_search
from edgectl.search.samplers import EvolutionSampler, RandomSampler
from edgectl.search.study import Study
from edgectl.search.testing.separable import OBJECTIVES, SeparableEvaluator, separable_space

class Hanging(SeparableEvaluator):
    def evaluate(self, genome, *, progress):
        if len(self.evaluated) == int(sys.argv[2]):
            print("inside", flush=True)
            sys.stdin.read()
        return super().evaluate(genome, progress=progress)

space = separable_space(4)
study = Study.open(sys.argv[1], name="s", space=space, objectives=OBJECTIVES)
run_search(space, Hanging(), SAMPLER, study, candidates=10, seed=11)
print("done", flush=True)
"""


def process(location: str, sampler: str, *, hang_at: int, hash_seed: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("SAMPLER", sampler), location, str(hang_at)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )


def trials_at(location: str) -> tuple[Trial, ...]:
    return Study.open(location, name="s", space=separable_space(4), objectives=OBJECTIVES).trials()


def kill_inside(location: str, sampler: str, *, hang_at: int) -> None:
    with process(location, sampler, hang_at=hang_at) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "inside\n"
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL


def run_to_the_end(location: str, sampler: str, *, hash_seed: int = 0) -> None:
    with process(location, sampler, hang_at=-1, hash_seed=hash_seed) as running:
        out, _ = running.communicate()
        assert (running.returncode, out) == (0, "done\n")


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=[kind.__name__ for kind in SAMPLERS])
@pytest.mark.parametrize("kind", ["journal", "database"])
def test_a_search_killed_inside_two_candidates_ends_with_the_genomes_of_one_that_was_not(
    tmp_path: Path, sampler: str, kind: str
) -> None:
    whole, killed = (
        str(tmp_path / f"{name}.log") if kind == "journal" else f"sqlite:///{tmp_path}/{name}.db"
        for name in ("whole", "killed")
    )
    run_to_the_end(whole, sampler, hash_seed=1)
    kill_inside(killed, sampler, hang_at=4)
    assert [trial.state for trial in trials_at(killed)] == [TrialState.COMPLETE] * 4 + [TrialState.RUNNING]
    kill_inside(killed, sampler, hang_at=2)
    run_to_the_end(killed, sampler, hash_seed=2)

    trials = trials_at(killed)
    interrupted = [trial for trial in trials if trial.state is TrialState.INTERRUPTED]
    assert [trial.candidate for trial in interrupted] == [4, 6]
    for trial in interrupted:
        assert trial.reason.startswith("interrupted")
        assert trials[trial.number + 1].genome == trial.genome
    expected = [(trial.genome, trial.objectives) for trial in trials_at(whole)]
    assert [(trial.genome, trial.objectives) for trial in trials if trial.finished] == expected
