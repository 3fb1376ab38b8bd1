# SPDX-License-Identifier: Apache-2.0
"""Files and processes around emulated machines, without one: consoles, programs, the image's staging, the inventory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from edgectl.config import Paths
from edgectl.emulate import image
from edgectl.emulate.image import build_image, find_image
from edgectl.emulate.machine import Machine, images_folder, machines_folder
from edgectl.emulate.machine_console import (
    agent_failures,
    boot_phase,
    console_lines,
    console_tail,
    follow_console,
    is_ready,
    rotate_console,
)
from edgectl.emulate.machine_making import check_entry, check_names, check_room, start_machine
from edgectl.emulate.machine_process import cut_power, is_running, running_processes
from edgectl.emulate.machines import Machines
from edgectl.emulate.programs import find_programs, run_program
from edgectl.fleet.authority import utc_now
from edgectl.fleet.enrolment import add_device, discard_device
from edgectl.fleet.inventory import Device, inventory_of
from edgectl.targets import load_target
from edgectl_protos.errors import StateError, UsageError

from tests.agents import eventually, is_alive

READY = '[ 9.1] edge-agent[12]: {"ready": true, "listen": "0.0.0.0:50051"}\n'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(config=tmp_path / "config", state=tmp_path / "state", cache=tmp_path / "cache")


def made(paths: Paths, name: str = "qemu-0", **changes: bool) -> Machine:
    folder = machines_folder(paths) / name
    folder.mkdir(parents=True)
    return Machine(folder, name, "pi4", 20_001, paths.cache / "qemu/image-x", "ab" * 16).saved(**changes)


class Silent:
    """An observer that remembers only what it waited for."""

    def image_advanced(self, step: str, fraction: float) -> None: ...

    def machine_advanced(self, name: str, phase: str, fraction: float) -> None: ...

    def waiting_for_another(self) -> None: ...


def machines(paths: Paths) -> Machines:
    return Machines(paths, greet=lambda _: None, clock=utc_now, observer=Silent())


def test_a_start_is_told_in_phases_that_only_grow() -> None:
    lines = ["[ 0.0] Linux version 6.1\n", "[ 3.7] systemd[1]: x\n", "[ 5.0] edge-agent[12]: y\n", READY]
    phases = [boot_phase("".join(lines[:count])) for count in range(len(lines) + 1)]
    fractions = [fraction for _, fraction in phases]
    assert fractions == sorted(fractions)
    assert [is_ready("".join(lines[:count])) for count in range(len(lines) + 1)] == [False] * 4 + [True]
    assert agent_failures("systemd[1]: edge-agent.service: Failed with result 'exit-code'.\n" * 3) == 3


def test_the_console_of_the_start_before_is_kept_beside_the_present_one(paths: Paths) -> None:
    machine = made(paths)
    machine.console.write_text("first\n" + READY)
    rotate_console(machine)
    with pytest.raises(StateError, match="qemu-0 has no console"):
        list(console_lines(machine))
    machine.console.write_bytes(b"second\r\n\nbroken \xff\n")
    assert list(console_lines(machine)) == ["second", "broken \ufffd"]
    assert list(console_lines(machine, previous=True)) == ["first", READY.strip()]
    assert list(console_lines(machine, previous=True, agent_only=True)) == [READY.strip()]
    assert console_tail(machine.console) == ": second | broken \ufffd"
    assert console_tail(machine.folder / "absent") == ""


def test_a_followed_console_goes_on_through_a_power_cut(paths: Paths) -> None:
    machine = made(paths)
    machine.console.write_text("one\nhal")
    over = threading.Event()
    lines = follow_console(machine, ended=over.is_set)
    assert next(lines) == "one"
    with machine.console.open("a") as file:
        file.write("f\n")
    assert next(lines) == "half"
    rotate_console(machine)
    machine.console.write_text("again\n")
    assert next(lines) == "again"
    over.set()
    assert list(lines) == []


def test_missing_programs_are_named_with_the_line_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgectl.emulate.programs._FOLDERS", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StateError, match=r"qemu-img, mmdebstrap not found.*apt-get install qemu-utils mmdebstrap"):
        find_programs("qemu-img", "mmdebstrap")


def test_a_program_that_fails_is_told_with_its_last_lines() -> None:
    with pytest.raises(StateError, match=r"making it failed: sh ended with status 3: first \| second"):
        run_program(["sh", "-c", "echo first; echo second >&2; exit 3"], what="making it")


def test_an_interrupted_program_leaves_no_process_of_its_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {note}.new; mv {note}.new {note}; wait"

    def interrupt() -> None:
        eventually(note.exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_program(["sh", "-c", script], what="sleeping")
    thread.join()
    assert eventually(lambda: not is_alive(int(note.read_text())))


@pytest.fixture
def failing_mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes some files, then says that it cannot reach the archive."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "mmdebstrap"
    program.write_text(
        '#!/bin/sh\nfor into; do :; done\nmkdir -p "$into/usr"\necho "E: the archive cannot be reached"\nexit 25\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return program


@pytest.mark.usefixtures("failing_mmdebstrap")
def test_an_image_that_cannot_be_built_leaves_nothing_half_built(paths: Paths, tmp_path: Path) -> None:
    wheel = tmp_path / "wheel"
    wheel.write_bytes(b"")
    cache = images_folder(paths)
    left_by_a_killed_one = cache / ".staging-old"
    left_by_a_killed_one.mkdir(parents=True)
    steps: list[float] = []
    with pytest.raises(StateError, match="mmdebstrap ended with status 25: E: the archive cannot be reached"):
        build_image(cache, wheel, in_use=(), on_progress=lambda _, fraction: steps.append(fraction))
    assert [entry.name for entry in cache.iterdir()] == ["lock"]
    assert steps == [0.0]
    assert find_image(cache, wheel) is None


def test_a_new_wheel_wants_a_new_image_and_the_old_one_is_found_again(paths: Paths, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    cache = images_folder(paths)
    folder = cache / f"image-{image._image_key(old)}"
    folder.mkdir(parents=True)
    assert find_image(cache, old) is None  # not whole
    (folder / "image.json").touch()
    found = find_image(cache, old)
    assert found is not None
    assert found.folder == folder
    assert find_image(cache, new) is None


def test_a_full_disk_is_said_before_anything_is_fetched(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "wheel"
    wheel.write_bytes(b"")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 5 << 20))
    with pytest.raises(StateError, match=r"5 MiB free in .*1536 MiB"):
        build_image(images_folder(paths), wheel, in_use=(), on_progress=lambda *_: None)


def test_more_machines_than_memory_are_refused_with_how_many_there_is_room_for(paths: Paths) -> None:
    with pytest.raises(StateError, match=r"100000 machines of 1024 MiB .*expected at most \d+ of target pi4"):
        check_room(100_000, 0, load_target("pi4"), folder=paths.state)
    check_room(0, 0, load_target("pi4"), folder=paths.state)


def test_a_device_of_someone_elses_under_a_machines_name_is_left_alone(paths: Paths) -> None:
    inventory_of(paths).add(Device("qemu-0", "192.0.2.1:50051"))
    with pytest.raises(UsageError, match=r"a device 'qemu-0' at 192\.0\.2\.1:50051.*edgectl device remove qemu-0"):
        check_names(["qemu-0"], paths=paths)
    assert inventory_of(paths).find("qemu-0").address == "192.0.2.1:50051"


def test_an_entry_that_a_killed_up_left_behind_is_taken_away(paths: Paths) -> None:
    left = add_device("qemu-0", "127.0.0.1:20001", paths=paths, clock=utc_now, always_certified=True)
    assert left.identity is not None
    check_names(["qemu-0", "qemu-1"], paths=paths)
    assert inventory_of(paths).devices() == ()
    assert not left.identity.exists()


def test_a_machine_comes_back_into_the_inventory_it_was_removed_from(paths: Paths) -> None:
    machine = made(paths)
    check_entry(machine, paths=paths)
    check_entry(machine, paths=paths)
    assert inventory_of(paths).find("qemu-0").address == machine.address
    discard_device("qemu-0", paths=paths)
    inventory_of(paths).add(Device("qemu-0", "192.0.2.1:50051"))
    with pytest.raises(UsageError, match=r"the inventory has qemu-0 at 192\.0\.2\.1"):
        check_entry(machine, paths=paths)


def test_a_certified_device_on_loopback_is_spoken_to_over_tls_and_discarded_without_a_trace(paths: Paths) -> None:
    device = add_device("qemu-0", "127.0.0.1:20001", paths=paths, clock=utc_now, always_certified=True)
    assert device.identity is not None
    assert {file.name for file in device.identity.iterdir()} == {"ca.pem", "device.pem", "device.key"}
    discard_device("qemu-0", paths=paths)
    discard_device("qemu-0", paths=paths)
    assert inventory_of(paths).devices() == ()
    assert not device.identity.exists()


def test_machines_that_do_not_run_are_dead_or_off_and_the_way_on_is_said(paths: Paths) -> None:
    made(paths, "qemu-0", answered=True)
    made(paths, "qemu-1", stopped=True)
    assert [status.state for status in machines(paths).statuses()] == ["dead", "off"]
    with pytest.raises(StateError, match=r"qemu-0 is dead.*edgectl qemu up.*edgectl qemu down qemu-0"):
        machines(paths).find_running("qemu-0")
    with pytest.raises(StateError, match="qemu-1 is switched off"):
        machines(paths).power_cut("qemu-1")


def test_a_machine_whose_image_was_deleted_says_what_to_do(paths: Paths) -> None:
    with pytest.raises(StateError, match=r"the image of qemu-0 is gone.*edgectl qemu down qemu-0"):
        start_machine(made(paths))


def test_down_removes_what_there_is_and_is_no_error_where_nothing_is(paths: Paths) -> None:
    for name in ("qemu-0", "qemu-1", "qemu-2"):
        made(paths, name)
    assert machines(paths).down(["qemu-1", "qemu-1"]) == ("qemu-1",)
    assert machines(paths).down(["qemu-1"]) == ()
    with pytest.raises(UsageError, match="no emulated machine 'qemu-x'"):
        machines(paths).down(["qemu-0", "qemu-x"])
    assert machines(paths).down([]) == ("qemu-0", "qemu-2")
    assert machines(paths).down([]) == ()
    assert [entry.name for entry in machines_folder(paths).iterdir()] == ["lock"]


@pytest.mark.parametrize("count", [0, -1, 65])
def test_an_impossible_count_is_refused(paths: Paths, count: int) -> None:
    with pytest.raises(UsageError, match=f"--count {count}; expected 1 to 64"):
        machines(paths).up(count, "pi4", lambda: Path("/no"))


def test_an_unknown_target_names_the_nearest(paths: Paths) -> None:
    with pytest.raises(UsageError, match="unknown target 'pi9'"):
        machines(paths).up(1, "pi9", lambda: Path("/no"))


def test_a_missing_wheel_leaves_nothing_behind(paths: Paths) -> None:
    def missing() -> Path:
        raise StateError("no wheel", action="make agent-wheel")

    with pytest.raises(StateError, match="make agent-wheel"):
        machines(paths).up(1, "pi4", missing)
    assert machines(paths).statuses() == ()
    assert inventory_of(paths).devices() == ()


@pytest.fixture
def stand_in(paths: Paths) -> Iterator[tuple[Machine, subprocess.Popen[bytes]]]:
    """A process with a machine's disk on its command line."""
    machine = made(paths)
    option = f"if=none,format=qcow2,file={machine.disk}"
    process = subprocess.Popen([sys.executable, "-c", "import time; print(); time.sleep(1000)", "-drive", option])
    yield machine, process
    process.kill()
    process.wait()


def test_a_process_is_known_by_its_disk_and_ends_with_a_power_cut(
    paths: Paths, stand_in: tuple[Machine, subprocess.Popen[bytes]]
) -> None:
    machine, process = stand_in
    other = made(paths, "qemu-1")
    found = eventually(lambda: running_processes([machine, other]))
    assert {name: running.pid for name, running in found.items()} == {"qemu-0": process.pid}
    assert cut_power(machine)
    assert not is_running(machine)
    assert not cut_power(machine)


def test_a_machine_whose_record_is_damaged_is_ended_and_removed(
    paths: Paths, stand_in: tuple[Machine, subprocess.Popen[bytes]]
) -> None:
    machine, process = stand_in
    eventually(lambda: running_processes([machine]))
    (machine.folder / "machine.json").write_bytes(b"{")
    with pytest.raises(UsageError, match=r"damaged.*edgectl qemu down qemu-0"):
        machines(paths).statuses()
    assert machines(paths).down([]) == ("qemu-0",)
    assert not psutil.pid_exists(process.pid)
    assert machines(paths).statuses() == ()
