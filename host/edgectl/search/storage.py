# SPDX-License-Identifier: Apache-2.0
"""Where a study lies: an Optuna journal file, or a database by URL. Both are what optuna-dashboard reads.

The journal is append-only, one JSON operation a line. A process that is killed while it appends leaves half a line;
nobody was told that operation had happened, so opening takes it off. Anything else that is not an operation is damage.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.errors import StateError, UsageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

LINE_START = b'{"op_code":'
LINE_LIMIT = 4 << 20  # bytes: a trial with all its figures is a few kilobytes
STALE_LOCK_SECONDS = 10  # an append takes milliseconds; a lock this old belonged to a process that was killed


def open_storage(location: str) -> BaseStorage:
    """The Optuna storage at a file path (a journal, made where there is none) or a database URL.

    Raises:
        UsageError: Optuna is not installed, the file is damaged or cannot be opened, or the URL leads nowhere.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError(
            "optuna is not installed", expected="it for a search", action="run: pip install 'edgectl[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return _open_database(location) if is_url(location) else _open_journal(Path(location))


def is_url(location: str) -> bool:
    return "://" in location


@contextmanager
def sole_searcher(location: str) -> Iterator[None]:
    """Keeps a second search off a journal; the kernel lets go when the process dies, however it dies.

    Databases have no such lock: one search a study is up to the user there.

    Raises:
        StateError: another process searches in this study file.
    """
    if is_url(location):
        yield
        return
    with Path(location).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"another search is running on {location}",
                expected="one search on a study at a time",
                action="wait for it, stop it, or choose another study file",
            ) from None
        yield


def _open_journal(path: Path) -> BaseStorage:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        lock = JournalFileSymlinkLock(str(path), grace_period=STALE_LOCK_SECONDS)
        _check_lines(path)
        lock.acquire()
        try:
            _take_off_torn_end(path)
        finally:
            lock.release()
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except OSError as error:
        raise UsageError(f"study file {path} cannot be opened: {error.strerror or error}") from error
    except (KeyError, ValueError, TypeError, AttributeError, AssertionError, IndexError) as error:
        # Optuna replays the journal without checks of its own; these are what a wrong operation makes it raise.
        raise damaged(path, f"an operation that does not fit ({type(error).__name__}: {error})") from error


def damaged(location: str | Path, what: str) -> UsageError:
    return UsageError(
        f"study {location} is damaged: it holds {what}",
        expected="a study written by edgectl search",
        action="restore it from a copy, or start another study",
    )


def _check_lines(path: Path) -> None:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_LIMIT):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == LINE_LIMIT or not _is_torn(line):
                    raise damaged(path, f"no operation in line {number}")
                return
            try:
                operation = json.loads(line)
            except ValueError:
                operation = None
            if not isinstance(operation, dict) or not isinstance(operation.get("op_code"), int):
                raise damaged(path, f"no operation in line {number}")


def _is_torn(tail: bytes) -> bool:
    """Whether bytes without an end of line are the beginning of an operation, or what a power cut leaves of one."""
    return tail.startswith(LINE_START) or LINE_START.startswith(tail) or not tail.strip(b"\0")


def _take_off_torn_end(path: Path) -> None:
    with path.open("rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(end)
                return
            end += len(line)


def _open_database(url: str) -> BaseStorage:
    import optuna
    import sqlalchemy

    try:
        shown = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        raise UsageError(
            "the study's database URL cannot be read", expected="a URL such as sqlite:///study.db"
        ) from None
    try:
        return optuna.storages.RDBStorage(url)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise UsageError(
            f"the study's database {shown} cannot be opened: {cause}", expected="a database that Optuna supports"
        ) from error
