# SPDX-License-Identifier: Apache-2.0
"""The QEMU processes of machines. A process is known by the disk on its command line, so no number can go stale."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil
from edgectl_protos.errors import StateError

from edgectl.emulate.machine import Machine
from edgectl.emulate.machine_command import disk_option

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MachineProcess:
    """A machine's process; `started` is seconds since the epoch, `resident_bytes` what it takes of this host."""

    pid: int
    started: float
    resident_bytes: int


def running_processes(machines: Iterable[Machine]) -> dict[str, MachineProcess]:
    """The processes of those machines that run, by the machine's name."""
    wanted = {disk_option(machine): machine.name for machine in machines}
    found: dict[str, MachineProcess] = {}
    for process in psutil.process_iter(["cmdline", "status"]):
        arguments = process.info["cmdline"] or []
        name = next((wanted[key] for word in arguments for key in wanted if word.endswith(key)), None)
        if name is None or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        with contextlib.suppress(psutil.Error), process.oneshot():
            found[name] = MachineProcess(process.pid, process.create_time(), process.memory_info().rss)
    return found


def is_running(machine: Machine) -> bool:
    return machine.name in running_processes([machine])


def cut_power(machine: Machine) -> bool:
    """End the machine as a pulled plug does: what it had not flushed is lost. False where it did not run.

    Raises:
        StateError: the process does not end.
    """
    return _end(machine, gently=False)


def end_process(machine: Machine) -> bool:
    """End QEMU, which flushes its files; the guest is not asked. As `cut_power`."""
    return _end(machine, gently=True)


def wait_until_ended(machine: Machine, seconds: float) -> bool:
    """Whether the machine ended by itself within `seconds`."""
    deadline = time.monotonic() + seconds
    while is_running(machine):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def _end(machine: Machine, *, gently: bool) -> bool:
    found = running_processes([machine]).get(machine.name)
    if found is None:
        return False
    try:
        process = psutil.Process(found.pid)
        if gently:
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        process.kill()
        process.wait(_STOP_SECONDS)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error as error:
        if is_running(machine):
            raise StateError(
                f"process {found.pid} of {machine.name} does not end ({error})", action=f"end it: kill -9 {found.pid}"
            ) from error
    return True
