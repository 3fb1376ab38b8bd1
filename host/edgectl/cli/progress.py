# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: live bars on a terminal, a line now and then when piped. Results never go through here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from edgectl.cli.text import one_line, seconds_text, size_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

BYTES = "bytes"


class Task(Protocol):
    """One bar. `reach` gives the absolute position, and the total once it is known."""

    def advance(self, amount: float = 1, *, note: str = "") -> None: ...

    def reach(self, position: float, *, total: float | None = None, note: str = "") -> None: ...


class Progress(Protocol):
    """Where a long command says how far it is. Tasks may nest; one thread at a time."""

    def task(
        self, title: str, *, total: float | None = None, done: float = 0, unit: str = ""
    ) -> AbstractContextManager[Task]:
        """A task that ends with the block; `done` was done before it began, `unit` may be `BYTES`."""
        ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...


class PlainProgress:
    """Lines: one when a task begins, at most one each `interval` seconds while it runs, one when it is done."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic, interval: float = 2.0) -> None:
        self._stream = stream
        self._clock = clock
        self._interval = interval

    @contextmanager
    def task(self, title: str, *, total: float | None = None, done: float = 0, unit: str = "") -> Iterator[Task]:
        self.say(f"{title} ...")
        started = self._clock()
        task = _PlainTask(self, title, total=total, done=done, unit=unit, started=started)
        yield task
        self.say(f"{title}: done in {seconds_text(self._clock() - started)}{task.note}")

    def say(self, text: str) -> None:
        self._stream.write(one_line(text) + "\n")
        self._stream.flush()

    def due(self, last: float) -> float | None:
        """The time, where `interval` has passed since `last`."""
        now = self._clock()
        return now if now - last >= self._interval else None


class _PlainTask:
    def __init__(
        self, progress: PlainProgress, title: str, *, total: float | None, done: float, unit: str, started: float
    ) -> None:
        self._progress = progress
        self._title = title
        self._total = total
        self._unit = unit
        self._started = self._spoke = started
        self._done = self._position = done
        self.note = ""

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        self.reach(self._position + amount, note=note)

    def reach(self, position: float, *, total: float | None = None, note: str = "") -> None:
        self._position = position
        self._total = self._total if total is None else total
        self.note = f" ({note})" if note else self.note
        now = self._progress.due(self._spoke)
        if now is None or (self._total is not None and position >= self._total):
            return
        self._spoke = now
        left = seconds_left(now - self._started, position, self._total, done=self._done)
        eta = f", about {seconds_text(left)} left" if left is not None else ""
        self._progress.say(f"{self._title}: {position_text(position, self._total, self._unit)}{self.note}{eta}")


class BarProgress:
    """Live bars by rich; the display exists only while a task does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: RichBars | None = None

    @contextmanager
    def task(self, title: str, *, total: float | None = None, done: float = 0, unit: str = "") -> Iterator[Task]:
        if self._bars is not None:
            with self._bar(self._bars, title, total=total, done=done, unit=unit) as task:
                yield task
            return
        self._bars = _new_bars(self._stream)
        try:
            with self._bars, self._bar(self._bars, title, total=total, done=done, unit=unit) as task:
                yield task
        finally:
            self._bars = None

    def say(self, text: str) -> None:
        if self._bars is None:
            self._stream.write(one_line(text) + "\n")
        else:
            self._bars.console.print(one_line(text), markup=False, highlight=False)

    @contextmanager
    def _bar(self, bars: RichBars, title: str, *, total: float | None, done: float, unit: str) -> Iterator[Task]:
        where = position_text(done, total, unit)
        identity = bars.add_task(one_line(title), total=total, position=where, note="")
        bars.update(identity, completed=done)
        task = _Bar(bars, identity, total=total, done=done, unit=unit)
        started = time.monotonic()
        try:
            yield task
        except BaseException:
            bars.remove_task(identity)
            raise
        bars.remove_task(identity)
        self.say(f"{title}: done in {seconds_text(time.monotonic() - started)}{task.note}")


class _Bar:
    def __init__(self, bars: RichBars, identity: TaskID, *, total: float | None, done: float, unit: str) -> None:
        self._bars = bars
        self._identity = identity
        self._total = total
        self._unit = unit
        self._position = done
        self.note = ""

    def advance(self, amount: float = 1, *, note: str = "") -> None:
        self.reach(self._position + amount, note=note)

    def reach(self, position: float, *, total: float | None = None, note: str = "") -> None:
        self._position = position
        self._total = self._total if total is None else total
        self.note = f" ({note})" if note else self.note
        self._bars.update(
            self._identity,
            completed=position,
            total=self._total,
            position=position_text(position, self._total, self._unit),
            note=one_line(note),
        )


def _new_bars(stream: TextIO) -> RichBars:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichBars

    return RichBars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[position]}", markup=False),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=stream),
        # Libraries write to sys.stderr, which the commands send to a log: rich must not catch it and print it here.
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
        refresh_per_second=4,  # drawing must not disturb what is being timed on this machine
    )


def position_text(position: float, total: float | None, unit: str) -> str:
    """`3/12`, `1.5 MiB/4.0 MiB`, the position alone where the total is unknown, nothing where both are."""
    if position == 0 and total is None:
        return ""
    if unit == BYTES:
        return size_text(position) if total is None else f"{size_text(position)}/{size_text(total)}"
    text = f"{position:g}" if total is None else f"{position:g}/{total:g}"
    return f"{text} {unit}" if unit else text


def seconds_left(elapsed: float, position: float, total: float | None, *, done: float = 0) -> float | None:
    """What is left at the pace so far, or None where that is unknown; `done` was done before the clock began."""
    if total is None or position <= done or position > total:
        return None
    return elapsed * (total - position) / (position - done)


def open_progress(stream: TextIO | None = None) -> Progress:
    """Progress on `stream` (stderr): bars where it is a terminal."""
    chosen = sys.stderr if stream is None else stream
    return BarProgress(chosen) if chosen.isatty() else PlainProgress(chosen)
