# SPDX-License-Identifier: Apache-2.0
"""The cores' lease between real processes: who pauses for whom, and that nobody waits for the dead."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from edgectl.cores import CoreLease, Holder

from tests.agents import eventually

QUIET_SECONDS = 0.3
DEADLINE_SECONDS = 60.0

HEAD = """
import os, sys, time
from pathlib import Path
from edgectl.cores import CoreLease
lease, file = CoreLease(Path(sys.argv[1])), open(sys.argv[2], "ab", buffering=0)
"""

STEPS = """
with lease.working("training"):
    print("ready", flush=True)
    while True:
        lease.breathe()
        file.write(b".")
        time.sleep(0.001)
"""

LONG_PHASE = """
with lease.working("lowering"):
    print("ready", flush=True)
    time.sleep(600)
"""

COMING_AND_GOING = """
print("ready", flush=True)
while True:
    with lease.working("training"):
        file.write(b".")
        time.sleep(0.002)
"""

TIMED = """
with lease.timed():
    print("ready", flush=True)
    time.sleep(600)
"""

WAITING_TO_BE_TIMED = """
with lease.timed(lambda holder: print("ready", flush=True)):
    time.sleep(600)
"""

TIMED_AGAIN_AND_AGAIN = """
print("ready", flush=True)
while True:
    with lease.timed():
        file.write(b".")
        time.sleep(0.001)
"""

BUSY = """
print("ready", flush=True)
while True:
    pass
"""

EXCLUSIVE = """
print("ready", flush=True)
for _ in range(50):
    with lease.timed():
        os.close(os.open(sys.argv[2] + ".alone", os.O_CREAT | os.O_EXCL))
        time.sleep(0.002)
        os.unlink(sys.argv[2] + ".alone")
"""

TRAINING = """
import torch
from torch import nn
from edgectl.compress.data import DataSplits
from edgectl.compress.pipeline import SilentObserver, run_stages, state_of
from edgectl.compress.stages import Finetune, name_stages

class Steps(SilentObserver):
    def stage_advanced(self, loss):
        if os.path.getsize(sys.argv[2]) == 0:
            print("ready", flush=True)
        file.write(b".")

items, targets = torch.randn(64, 4), torch.arange(64) % 3
data = DataSplits(items, targets, items, targets, tuple("abc"))
plan = name_stages([Finetune(epochs=10_000, batch_size=16)])
list(run_stages(state_of(nn.Linear(4, 3), data), data, plan, seed=0, observer=Steps(), work=lease))
"""


@contextmanager
def running(program: str, state: Path, steps: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is ready; killed at the end."""
    command = [sys.executable, "-c", HEAD + program, str(state), str(steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def assert_still(path: Path) -> None:
    before = size(path)
    time.sleep(QUIET_SECONDS)
    assert size(path) == before


def assert_goes_on(path: Path) -> None:
    before = size(path)
    eventually(lambda: size(path) > before, seconds=DEADLINE_SECONDS)


@pytest.mark.parametrize("program", [TRAINING, STEPS], ids=["training", "steps"])
def test_no_step_is_made_while_a_job_is_timed_and_they_go_on_after(tmp_path: Path, program: str) -> None:
    steps = tmp_path / "steps"
    with running(program, tmp_path, steps) as process:
        for _ in range(3):
            heard: list[Holder] = []
            assert_goes_on(steps)
            with CoreLease(tmp_path).timed(heard.append):
                assert_still(steps)
            assert {holder.pid for holder in heard} <= {process.pid}
        assert_goes_on(steps)


@pytest.mark.parametrize("killed", [TIMED, WAITING_TO_BE_TIMED], ids=["measuring", "waiting"])
def test_work_goes_on_when_a_timed_job_is_killed(tmp_path: Path, killed: str) -> None:
    steps, other = tmp_path / "steps", tmp_path / "other"
    with running(STEPS, tmp_path, steps), running(LONG_PHASE, tmp_path, other) as phase:
        if killed == TIMED:
            phase.kill()
        with running(killed, tmp_path, other) as timed:
            assert_still(steps)
            timed.send_signal(signal.SIGKILL)
            assert timed.wait() == -signal.SIGKILL
            assert_goes_on(steps)


def test_a_timed_job_begins_when_the_work_it_waits_for_is_killed(tmp_path: Path) -> None:
    with running(LONG_PHASE, tmp_path, tmp_path / "steps") as process:
        heard: list[Holder] = []

        def kill(holder: Holder) -> None:
            heard.append(holder)
            process.kill()

        with CoreLease(tmp_path).timed(kill):
            assert process.wait() == -signal.SIGKILL
            assert list((tmp_path / "cores").glob("work-*")) == []
        assert heard == [Holder(process.pid, "lowering", timed=False)]


def test_work_that_comes_and_goes_does_not_starve_a_timed_job(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    with (
        running(COMING_AND_GOING, tmp_path, steps),
        running(COMING_AND_GOING, tmp_path, steps),
        running(COMING_AND_GOING, tmp_path, steps),
        running(COMING_AND_GOING, tmp_path, steps),
    ):
        begin = time.monotonic()
        for _ in range(20):
            with CoreLease(tmp_path).timed():
                pass
        assert time.monotonic() - begin < DEADLINE_SECONDS
        assert_goes_on(steps)


def test_timed_jobs_in_a_row_do_not_starve_work(tmp_path: Path) -> None:
    """On busy cores a job that follows another at once runs before work that has only just been woken."""
    steps, jobs = tmp_path / "steps", tmp_path / "jobs"
    with ExitStack() as stack:
        for program in (BUSY, BUSY, BUSY, BUSY, TIMED_AGAIN_AND_AGAIN, TIMED_AGAIN_AND_AGAIN):
            stack.enter_context(running(program, tmp_path, jobs))
        stack.enter_context(running(STEPS, tmp_path, steps))
        begin, done = size(jobs), size(steps)
        eventually(lambda: size(jobs) > begin + 300, seconds=DEADLINE_SECONDS)
        assert size(steps) - done >= 300 // 4


def test_timed_jobs_exclude_each_other(tmp_path: Path) -> None:
    with (
        running(EXCLUSIVE, tmp_path, tmp_path / "jobs") as one,
        running(EXCLUSIVE, tmp_path, tmp_path / "jobs") as two,
        running(EXCLUSIVE, tmp_path, tmp_path / "jobs") as three,
    ):
        assert [process.wait(DEADLINE_SECONDS) for process in (one, two, three)] == [0, 0, 0]


def test_a_timed_job_hears_once_of_the_one_before_it(tmp_path: Path) -> None:
    with running(TIMED, tmp_path, tmp_path / "jobs") as process:
        heard: list[Holder] = []

        def kill_soon(holder: Holder) -> None:
            heard.append(holder)
            threading.Timer(QUIET_SECONDS, process.kill).start()

        with CoreLease(tmp_path).timed(kill_soon):
            assert heard == [Holder(process.pid, "measurement", timed=True)]


def test_a_waiting_timed_job_keeps_new_work_from_starting(tmp_path: Path) -> None:
    began = threading.Event()

    def work() -> None:
        with CoreLease(tmp_path).working("training"):
            began.set()

    with (
        running(LONG_PHASE, tmp_path, tmp_path / "steps") as phase,
        running(WAITING_TO_BE_TIMED, tmp_path, tmp_path / "jobs") as waiting,
    ):
        thread = threading.Thread(target=work)
        thread.start()
        assert not began.wait(QUIET_SECONDS)
        phase.kill()
        assert not began.wait(QUIET_SECONDS)
        waiting.kill()
        assert began.wait(DEADLINE_SECONDS)
        thread.join(DEADLINE_SECONDS)
