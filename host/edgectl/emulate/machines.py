# SPDX-License-Identifier: Apache-2.0
"""The emulated machines of this user: brought up, listed, cut off from power, taken down.

Whoever changes them holds one lock, for as long as files and processes change and not while a machine starts. How a
device is greeted comes from outside, since the lab stands above this package.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgectl_protos.errors import (
    AuthenticationError,
    DeadlineError,
    EdgectlError,
    StateError,
    UnreachableError,
    UsageError,
)

from edgectl.config import Paths
from edgectl.emulate.board_wheel import BUILD_COMMAND
from edgectl.emulate.image import MachineImage, build_image, find_image
from edgectl.emulate.machine import (
    NAME,
    Machine,
    find_machine,
    images_folder,
    known_machines,
    machine_folders,
    machines_folder,
    read_machine,
    remains,
    unknown_machine,
)
from edgectl.emulate.machine_console import agent_failures, boot_phase, console_tail, console_text, is_ready
from edgectl.emulate.machine_exec import shut_down
from edgectl.emulate.machine_making import (
    check_entry,
    check_names,
    check_room,
    emulated_processor,
    make_machine,
    remove_leavings,
    remove_machine,
    start_machine,
)
from edgectl.emulate.machine_process import (
    MachineProcess,
    cut_power,
    end_process,
    is_running,
    running_processes,
    wait_until_ended,
)
from edgectl.emulate.programs import find_programs
from edgectl.fleet.authority import Clock
from edgectl.fleet.private_files import make_private_folder
from edgectl.targets import load_target

MOST_MACHINES = 64

_START_SECONDS = 180.0
_SECONDS_MORE = 60.0  # for each further machine that starts at the same time
_POLL_SECONDS = 0.25
_GREET_TRIES = 20
_AGENT_TRIES = 2
_POWER_OFF_SECONDS = 30.0

Greet = Callable[[str], object]
"""Says Hello to the device of that name, and raises an EdgectlError where it does not answer."""


class MachineObserver(Protocol):
    """Told how far things are; fractions are of the usual time."""

    def image_advanced(self, step: str, fraction: float) -> None: ...

    def machine_advanced(self, name: str, phase: str, fraction: float) -> None: ...

    def waiting_for_another(self) -> None:
        """Another process changes the machines at the moment."""


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """A machine and how it is: "running" (it answered), "booting", "off" (`down --keep`), or "dead"."""

    machine: Machine
    state: str
    memory_bytes: int
    process: MachineProcess | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A machine that answers, and the seconds from its start (None where it had been running) to its Hello."""

    machine: Machine
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Up:
    """What `up` did; `image_seconds` is None where the image was there."""

    machines: tuple[Started, ...]
    image_seconds: float | None


class Machines:
    """The machines below `paths`."""

    def __init__(self, paths: Paths, *, greet: Greet, clock: Clock, observer: MachineObserver) -> None:
        self._paths = paths
        self._folder = machines_folder(paths).absolute()
        self._greet = greet
        self._clock = clock
        self._observer = observer

    def up(self, count: int, target_name: str, find_wheel: Callable[[], Path]) -> Up:
        """See to it that at least `count` machines of a target answer: start those that do not run, make what lacks.

        An interruption leaves nothing that was not there before. A machine that starts and does not answer stays, to
        be looked at.

        Args:
            count: how many, 1 to `MOST_MACHINES`.
            target_name: the profile.
            find_wheel: where the agent's wheel is; called only where a machine has to be made.

        Raises:
            UsageError: an unknown target, an impossible count, or a name that another device has.
            StateError: a program, memory or disk space is missing, or a machine died.
            DeadlineError: a machine does not answer in time.
        """
        target = load_target(target_name)
        emulated_processor(target)
        if not 1 <= count <= MOST_MACHINES:
            raise UsageError(f"--count {count}", expected=f"1 to {MOST_MACHINES}", action="change it")
        find_programs("qemu-system-aarch64", "qemu-img")
        with contextlib.ExitStack() as undo:
            with self._locked():
                remove_leavings(self._paths)
                known = known_machines(self._folder)
                present = [machine for machine in known if machine.target == target.name][:count]
                running = running_processes(present)
                idle = [machine for machine in present if machine.name not in running]
                names = _new_names(count - len(present), known)
                check_room(len(idle) + len(names), len(names), target, folder=self._folder)
                check_names(names, paths=self._paths)
                for machine in present:
                    check_entry(machine, paths=self._paths)
                image_seconds = None
                for machine in idle:
                    undo.callback(cut_power, machine)
                    start_machine(machine)
                if names:
                    image, image_seconds = self._image(find_wheel, known)
                for name in names:
                    machine = make_machine(name, target, image, paths=self._paths, clock=self._clock)
                    undo.callback(remove_machine, machine, paths=self._paths)
                    start_machine(machine)
            try:
                started = self._await_all([*(machine.name for machine in present), *names], since=set(running))
            except EdgectlError:
                undo.pop_all()  # whoever reads the message will want to see the machine
                raise
            undo.pop_all()
        return Up(started, image_seconds)

    def statuses(self) -> tuple[MachineStatus, ...]:
        """Every machine, by number."""
        machines = known_machines(self._folder)
        running = running_processes(machines)
        return tuple(_status(machine, running.get(machine.name)) for machine in machines)

    def find(self, name: str) -> Machine:
        """The machine called `name`; raises UsageError where there is none."""
        return find_machine(self._folder, name)

    def find_running(self, name: str) -> Machine:
        """The machine called `name`, which runs.

        Raises:
            UsageError: there is none.
            StateError: it does not run.
        """
        machine = self.find(name)
        if not is_running(machine):
            raise _not_running(machine)
        return machine

    def power_cut(self, name: str) -> Started:
        """Pull a machine's plug, start it again from the same disk, and wait for its Hello.

        Raises:
            StateError: it does not run.
            DeadlineError: it does not answer again.
        """
        with self._locked():
            machine = self.find_running(name)
            began = time.monotonic()
            cut_power(machine)
            start_machine(machine)
        self._await_hello(name, time.monotonic() + _START_SECONDS)
        return Started(self.find(name), time.monotonic() - began)

    def down(self, names: Sequence[str], *, keep: bool = False) -> tuple[str, ...]:
        """End machines, all where no name is given, and remove them with certificate, inventory entry and disk.

        With `keep` they are switched off properly and stay; `up` starts them again. A machine that is gone already is
        no error, nor is one to be removed whose record is damaged.

        Returns:
            The names of those that were there.

        Raises:
            UsageError: a name that no machine can have, or a damaged record where it is to be kept.
        """
        with self._locked():
            remove_leavings(self._paths)
            known = {folder.name: folder for folder in machine_folders(self._folder)}
            for name in names:
                if name not in known and NAME.fullmatch(name) is None:
                    raise unknown_machine(name, list(known))
            chosen = [name for name in dict.fromkeys(names) if name in known] if names else list(known)
            for name in chosen:
                if keep:
                    _switch_off(read_machine(known[name]))
                else:
                    remove_machine(remains(known[name]), paths=self._paths)
        return tuple(chosen)

    def _image(self, find_wheel: Callable[[], Path], known: Sequence[Machine]) -> tuple[MachineImage, float | None]:
        wheel = find_wheel()
        cache = images_folder(self._paths).absolute()
        image = find_image(cache, wheel)
        if image is not None:
            return image, None
        began = time.monotonic()
        in_use = [machine.image for machine in known]
        image = build_image(cache, wheel, in_use=in_use, on_progress=self._observer.image_advanced)
        return image, time.monotonic() - began

    def _await_all(self, names: Sequence[str], *, since: set[str]) -> tuple[Started, ...]:
        """Wait for each; `since` are those that had been running."""
        began = time.monotonic()
        deadline = began + _START_SECONDS + _SECONDS_MORE * (len(names) - 1)
        started = []
        for name in names:
            self._await_hello(name, deadline)
            seconds = None if name in since else time.monotonic() - began
            started.append(Started(self.find(name), seconds))
        return tuple(started)

    def _await_hello(self, name: str, deadline: float) -> None:
        """Look at the console until the agent is ready, then greet it: nothing is sent to a machine that starts."""
        machine = self.find(name)
        tries, told = 0, ""
        while True:
            console = console_text(machine.console)
            phase, fraction = boot_phase(console)
            if phase != told:
                told = phase
                self._observer.machine_advanced(name, phase, fraction)
            if is_ready(console):
                try:
                    self._greet(name)
                except (UnreachableError, AuthenticationError, DeadlineError):  # a port that is not forwarded yet
                    tries += 1
                    if tries >= _GREET_TRIES:
                        raise
                else:
                    break
            _check_agent(machine, console)
            if not is_running(machine):
                raise StateError(
                    f"{name} ended while it started{console_tail(machine.console)}",
                    expected="a machine that runs",
                    action=f"see `edgectl qemu logs {name}`; `edgectl qemu up` starts it again",
                )
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{name} does not answer{console_tail(machine.console)}",
                    expected="a Hello within minutes of its start",
                    action=f"see `edgectl qemu logs {name}`; `edgectl qemu down {name}` removes it",
                )
            time.sleep(_POLL_SECONDS)
        self.find(name).saved(answered=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        make_private_folder(self._folder)
        with (self._folder / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._observer.waiting_for_another()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _new_names(count: int, known: Sequence[Machine]) -> list[str]:
    """The lowest free numbers."""
    taken = {machine.number for machine in known}
    free = (number for number in range(len(known) + max(count, 0)) if number not in taken)
    return [f"qemu-{number}" for _, number in zip(range(count), free, strict=False)]


def _check_agent(machine: Machine, console: str) -> None:
    """Give up early where the agent starts and fails over and over."""
    if agent_failures(console) < _AGENT_TRIES:
        return
    raise StateError(
        f"the agent in {machine.name} does not start{console_tail(machine.console)}",
        expected="an agent that gets ready",
        action=f"see `edgectl qemu logs {machine.name} --agent`; where its wheel is older than this edgectl, "
        f"run `{BUILD_COMMAND}`, `edgectl qemu down {machine.name}` and `edgectl qemu up`",
    )


def _status(machine: Machine, process: MachineProcess | None) -> MachineStatus:
    if process is not None:
        state = "running" if machine.answered else "booting"
    else:
        state = "off" if machine.stopped else "dead"
    return MachineStatus(machine, state, load_target(machine.target).memory_bytes, process)


def _switch_off(machine: Machine) -> None:
    machine.saved(stopped=True)
    with contextlib.suppress(EdgectlError):
        shut_down(machine)
        wait_until_ended(machine, _POWER_OFF_SECONDS)
    end_process(machine)


def _not_running(machine: Machine) -> StateError:
    return StateError(
        f"{machine.name} is {'switched off' if machine.stopped else 'dead: its process has ended'}",
        expected="a machine that runs",
        action=f"`edgectl qemu up` starts it again from its disk, `edgectl qemu down {machine.name}` removes it",
    )
