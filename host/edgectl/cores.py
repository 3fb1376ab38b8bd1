# SPDX-License-Identifier: Apache-2.0
"""The cores of this machine, shared by work that can pause and by jobs that are timed on it.

Workers (training, lowering) keep a file of their own locked while they work. A timed job locks the door, which lets no
work start or go on after its next pause point, then waits until no worker's file is locked. Every lock is `flock`'s:
it goes with its process, however that ends, so that nobody waits for the dead. The processes are those of one user,
who share a state folder.

Who waits at the door also holds the waiting room, and a timed job closes the door only when that has been empty:
without it, one that follows another at once would slip in before work that has just been woken.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edgectl_protos.errors import UsageError

_FOLDER = "cores"
_DOOR = "door"
_WAITING_ROOM = "waiting"
_WORKER_PREFIX = "work-"
_MEASUREMENT = "measurement"
_HOLDER_BYTES = 256


class Work(Protocol):
    """Work that lets timed jobs go first, if it is asked to."""

    def working(self, doing: str) -> AbstractContextManager[None]:
        """Hold the cores together with other work; `doing` says for what: "training"."""
        ...

    def breathe(self) -> None:
        """Between two steps: return when no timed job wants the cores."""
        ...


class NeverPaused:
    """Work on cores that nobody is timed on."""

    def working(self, doing: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol's
        return nullcontext()

    def breathe(self) -> None:
        """Do nothing."""


NEVER_PAUSED: Work = NeverPaused()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the cores: a process, what it does, and whether it is timed (else it will pause)."""

    pid: int
    doing: str
    timed: bool


class CoreLease:
    """The cores as the processes with this state folder share them. Implements `Work`; any thread may use it."""

    def __init__(self, state: Path) -> None:
        self._folder = state / _FOLDER

    @contextmanager
    def working(self, doing: str) -> Iterator[None]:
        """Work, beside other work; a timed job is waited for first. A thread may enter again what it is within.

        Raises:
            UsageError: the folder cannot be written.
            RuntimeError: this thread is within `timed`.
        """
        if self._folder in _mine.places:
            yield
            return
        if self._folder in _mine.timed:
            raise RuntimeError("work within a timed job of the same thread would wait for itself")
        with self._opened(_DOOR) as door, self._opened(_WAITING_ROOM) as waiting_room:
            place = _Place(self._folder, doing, door=door, waiting_room=waiting_room)
            try:
                place.take()
                _mine.places[self._folder] = place
                yield
            finally:
                _mine.places.pop(self._folder, None)
                place.leave()

    def breathe(self) -> None:
        """A pause point: while a timed job waits or runs, give the cores up; some microseconds where there is none.

        Raises:
            RuntimeError: this thread is not within `working`.
        """
        place = _mine.places.get(self._folder)
        if place is None:
            raise RuntimeError("a pause point outside of `working`")
        if place.is_wanted():
            place.leave()
            place.take()

    @contextmanager
    def timed(self, on_wait: Callable[[Holder], object] = lambda _: None) -> Iterator[None]:
        """Have the cores alone, once each worker has paused or ended and the timed jobs before have ended.

        `on_wait` hears once of each that is waited for, before the wait.

        Raises:
            UsageError: the folder cannot be written.
            RuntimeError: this thread is within `working` or `timed`.
        """
        if self._folder in _mine.places or self._folder in _mine.timed:
            raise RuntimeError("a timed job within work or a timed job of the same thread would wait for itself")
        with self._opened(_DOOR) as door, self._opened(_WAITING_ROOM) as waiting_room:
            _mine.timed.add(self._folder)
            try:
                self._close(door, waiting_room, _once(on_wait))
                self._await_workers(on_wait)
                yield
            finally:
                _mine.timed.discard(self._folder)
                _unlock(door)

    def _close(self, door: IO[bytes], waiting_room: IO[bytes], on_wait: Callable[[Holder], object]) -> None:
        _announce(door, on_wait, timed=True)
        fcntl.flock(waiting_room, fcntl.LOCK_EX)
        _unlock(waiting_room)
        _announce(door, on_wait, timed=True)
        fcntl.flock(door, fcntl.LOCK_EX)
        _sign(door, _MEASUREMENT)

    def _await_workers(self, on_wait: Callable[[Holder], object]) -> None:
        """The door is closed, so the files can only become fewer; one that is not locked was left by a dead process."""
        for path in sorted(self._folder.glob(f"{_WORKER_PREFIX}*")):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                _announce(file, on_wait, timed=False)
                fcntl.flock(file, fcntl.LOCK_SH)
            path.unlink(missing_ok=True)

    def _opened(self, name: str) -> IO[bytes]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.fdopen(os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        except OSError as error:
            raise _unwritable(self._folder, error) from error


class _Place:
    """One thread's place among the workers. Each time it is taken it is another file."""

    def __init__(self, folder: Path, doing: str, *, door: IO[bytes], waiting_room: IO[bytes]) -> None:
        self._folder, self._doing = folder, doing
        self._door, self._waiting_room = door, waiting_room
        self._file: IO[bytes] | None = None
        self._path = folder

    def is_wanted(self) -> bool:
        """Whether a timed job has closed the door."""
        if not _lock_at_once(self._door, fcntl.LOCK_SH):
            return True
        _unlock(self._door)
        return False

    def take(self) -> None:
        try:
            if not _lock_at_once(self._door, fcntl.LOCK_SH):
                fcntl.flock(self._waiting_room, fcntl.LOCK_SH)
                fcntl.flock(self._door, fcntl.LOCK_SH)
            try:
                handle, path = tempfile.mkstemp(prefix=_WORKER_PREFIX, dir=self._folder)
            except OSError as error:
                raise _unwritable(self._folder, error) from error
            self._file, self._path = os.fdopen(handle, "r+b", buffering=0), Path(path)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _sign(self._file, self._doing)
        finally:
            _unlock(self._door)
            _unlock(self._waiting_room)

    def leave(self) -> None:
        """The file goes before its lock: whoever finds an unlocked one may remove it."""
        file, self._file = self._file, None
        if file is not None:
            with file:
                self._path.unlink(missing_ok=True)
                _unlock(file)


class _Mine(threading.local):
    """What this thread holds, by folder: the kernel knows open files, not threads."""

    def __init__(self) -> None:
        self.places: dict[Path, _Place] = {}
        self.timed: set[Path] = set()


_mine = _Mine()


def _lock_at_once(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: IO[bytes]) -> None:
    """Closing would do but for a forked child, which has the same open file."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _sign(file: IO[bytes], doing: str) -> None:
    """The lock is what counts: a full disk costs no more than the name of who has it."""
    with suppress(OSError):
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} {doing}".encode()[:_HOLDER_BYTES])


def _announce(file: IO[bytes], on_wait: Callable[[Holder], object], *, timed: bool) -> None:
    """Tell who has the file to itself, if anybody has."""
    if _lock_at_once(file, fcntl.LOCK_SH):
        _unlock(file)
        return
    file.seek(0)
    pid, _, doing = file.read(_HOLDER_BYTES).decode(errors="replace").partition(" ")
    if pid.isdecimal():
        on_wait(Holder(int(pid), doing, timed))


def _once(on_wait: Callable[[Holder], object]) -> Callable[[Holder], object]:
    told: set[Holder] = set()

    def tell(holder: Holder) -> None:
        if holder not in told:
            told.add(holder)
            on_wait(holder)

    return tell


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{folder} cannot be written ({error.strerror})",
        expected="a folder of yours",
        action="correct that, or set EDGECTL_HOME",
    )
