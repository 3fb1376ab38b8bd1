# SPDX-License-Identifier: Apache-2.0
"""The rules of the cores' lease within one process; test_cores_processes.py has several."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edgectl.config import Paths
from edgectl.cores import NEVER_PAUSED, CoreLease, Holder
from edgectl.lab.quiet import timed_job, waiting_text
from edgectl_protos.errors import UsageError

DEADLINE_SECONDS = 30.0


@contextmanager
def working_thread(state: Path, *, breathes: bool = True) -> Iterator[threading.Event]:
    """A thread that works until the event is set, breathing all the time if it does at all."""
    lease, began, end = CoreLease(state), threading.Event(), threading.Event()

    def work() -> None:
        with lease.working("training"):
            began.set()
            while not end.wait(0.001):
                if breathes:
                    lease.breathe()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert began.wait(DEADLINE_SECONDS)
        yield end
    finally:
        end.set()
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


def places(state: Path) -> list[Path]:
    return list((state / "cores").glob("work-*"))


def test_pause_point_outside_of_work_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="outside"):
        CoreLease(tmp_path).breathe()


@pytest.mark.parametrize("outer", ["working", "timed"])
@pytest.mark.parametrize("same_object", [True, False])
def test_what_would_wait_for_its_own_thread_is_refused_at_once(
    tmp_path: Path, outer: str, *, same_object: bool
) -> None:
    lease = CoreLease(tmp_path)
    inner = lease if same_object else CoreLease(tmp_path)
    with lease.working("training") if outer == "working" else lease.timed():
        with pytest.raises(RuntimeError, match="wait for itself"), inner.timed():
            raise AssertionError
        if outer == "timed":
            with pytest.raises(RuntimeError, match="wait for itself"), inner.working("training"):
                raise AssertionError
    with lease.timed():
        pass
    with lease.working("training"):
        lease.breathe()


def test_work_within_work_of_a_thread_is_one_place_that_the_outer_one_gives_up(tmp_path: Path) -> None:
    with CoreLease(tmp_path).working("training"):
        with CoreLease(tmp_path).working("evaluation"):
            CoreLease(tmp_path).breathe()
            assert len(places(tmp_path)) == 1
        CoreLease(tmp_path).breathe()
        assert len(places(tmp_path)) == 1
    assert places(tmp_path) == []


def test_work_and_timed_jobs_that_fail_leave_the_cores_free(tmp_path: Path) -> None:
    lease = CoreLease(tmp_path)
    with pytest.raises(KeyboardInterrupt), lease.working("training"):
        raise KeyboardInterrupt
    assert places(tmp_path) == []
    with pytest.raises(KeyboardInterrupt), lease.timed():
        raise KeyboardInterrupt
    heard: list[Holder] = []
    with lease.timed(heard.append):
        assert heard == []


def test_a_callback_that_fails_leaves_the_door_open(tmp_path: Path) -> None:
    def refuse(holder: Holder) -> None:
        raise KeyboardInterrupt(holder.pid)

    with working_thread(tmp_path, breathes=False):
        with pytest.raises(KeyboardInterrupt), CoreLease(tmp_path).timed(refuse):
            raise AssertionError
        with CoreLease(tmp_path).working("lowering"):
            CoreLease(tmp_path).breathe()


def test_threads_work_side_by_side_and_all_pause_for_a_timed_job(tmp_path: Path) -> None:
    heard: list[Holder] = []
    with working_thread(tmp_path), working_thread(tmp_path), working_thread(tmp_path):
        assert len(places(tmp_path)) == 3
        with CoreLease(tmp_path).timed(heard.append):
            assert places(tmp_path) == []
    assert {holder.doing for holder in heard} <= {"training"}


def test_a_timed_job_waits_for_work_that_does_not_pause_and_hears_of_it_once(tmp_path: Path) -> None:
    heard: list[Holder] = []
    told, began = threading.Event(), threading.Event()

    def hear(holder: Holder) -> None:
        heard.append(holder)
        told.set()

    def measure() -> None:
        with CoreLease(tmp_path).timed(hear):
            began.set()

    with working_thread(tmp_path, breathes=False) as end:
        thread = threading.Thread(target=measure)
        thread.start()
        assert told.wait(DEADLINE_SECONDS)
        assert not began.wait(0.2)
        end.set()
        assert began.wait(DEADLINE_SECONDS)
        thread.join(DEADLINE_SECONDS)
    assert [(holder.doing, holder.timed) for holder in heard] == [("training", False)]


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    for held in (CoreLease(tmp_path / "state").working("training"), CoreLease(tmp_path / "state").timed()):
        with pytest.raises(UsageError, match="cannot be written") as caught, held:
            raise AssertionError
        assert "EDGECTL_HOME" in caught.value.action


def test_work_that_is_never_paused_breathes_anywhere_and_writes_nothing(tmp_path: Path) -> None:
    with NEVER_PAUSED.working("training"):
        NEVER_PAUSED.breathe()
    NEVER_PAUSED.breathe()
    assert list(tmp_path.iterdir()) == []


def test_only_the_local_device_shares_the_cores(tmp_path: Path) -> None:
    paths = Paths(config=tmp_path / "config", state=tmp_path / "state", cache=tmp_path / "cache")
    lines: list[str] = []
    with CoreLease(paths.state).working("training"):
        with timed_job("pi4", paths, lines.append):
            pass
        with pytest.raises(RuntimeError), timed_job("local", paths, lines.append):
            raise AssertionError
    assert lines == []
    with working_thread(paths.state, breathes=False) as end:

        def hear(line: str) -> None:
            lines.append(line)
            end.set()

        with timed_job("local", paths, hear):
            assert places(paths.state) == []
    assert len(lines) == 1
    assert lines[0].startswith("waiting for the training of process ")


def test_a_timed_job_is_said_to_end_and_work_to_pause() -> None:
    assert waiting_text(Holder(12, "lowering", timed=False)) == "waiting for the lowering of process 12 to pause"
    assert waiting_text(Holder(12, "measurement", timed=True)) == "waiting for the measurement of process 12 to end"
