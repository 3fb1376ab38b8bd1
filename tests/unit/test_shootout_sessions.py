# SPDX-License-Identifier: Apache-2.0
"""A worker's process: it answers commands with samples, and what it dies of is passed on in one line."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

WORKER = """
import sys, time
import numpy as np
from shootout.workers.blocks import Loaded, serve

def load(folder, precision, threads, item):
    prepared = []
    def run():
        assert len(prepared) == run.calls + 1, "inputs are set before each run"
        run.calls += 1
        if {dies_at} == run.calls:
            sys.exit("out of kernels")
        time.sleep(0.002)
    run.calls = 0
    print("a library's greeting", flush=True)
    return Loaded(run=run, answer=lambda: item * threads, prepare=lambda: prepared.append(1))

serve(load)
"""


@pytest.fixture(autouse=True)
def _shootout_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def worker(folder: Path, *, dies_at: int = -1) -> list[str | Path]:
    np.save(folder / "input.npy", np.arange(3, dtype=np.float32))
    files: list[str | Path] = ["--input", folder / "input.npy", "--answer", folder / "answer.npy"]
    return [sys.executable, "-c", WORKER.format(dies_at=dies_at), folder, "fp32", "--threads", "2", *files]


def test_a_block_lasts_its_seconds_and_its_runs(tmp_path: Path) -> None:
    from shootout.sessions import Session
    from shootout.workers.blocks import FEWEST_RUNS

    with closing(Session(worker(tmp_path), block="block 0.1")) as session:
        session.ready()
        assert np.load(tmp_path / "answer.npy").tolist() == [0, 2, 4]
        samples = session.block()
        assert all(sample >= 2 for sample in samples)
        assert sum(samples) > 50
    with closing(Session(worker(tmp_path), block="block 0")) as session:
        session.ready()
        assert len(session.block()) == FEWEST_RUNS


def test_a_worker_that_dies_says_why(tmp_path: Path) -> None:
    from shootout.environments import UnavailableError
    from shootout.sessions import Session

    session = Session(worker(tmp_path, dies_at=1), block="block 0")
    with closing(session), pytest.raises(UnavailableError, match="out of kernels"):
        session.ready()


def test_a_worker_that_dies_between_blocks_says_why(tmp_path: Path) -> None:
    from shootout.environments import UnavailableError
    from shootout.sessions import Session

    with closing(Session(worker(tmp_path), block="blokc 0")) as session:
        session.ready()
        with pytest.raises(UnavailableError, match="unknown command 'blokc 0'"):
            session.block()
        with pytest.raises(UnavailableError, match="unknown command 'blokc 0'"):
            session.block()


def test_an_environment_that_cannot_be_made_leaves_none_that_seems_made(tmp_path: Path) -> None:
    from shootout.environments import Environment, UnavailableError, python_of

    missing = Environment("missing", (str(tmp_path / "no-such-package"),))
    for _ in range(2):
        with pytest.raises(UnavailableError, match="no environment for missing "):
            python_of(missing, tmp_path)


def test_the_projects_own_environment_is_this_python(tmp_path: Path) -> None:
    from shootout.environments import PROJECT, python_of

    assert python_of(PROJECT, tmp_path) == Path(sys.executable)
    assert not list(tmp_path.iterdir())
