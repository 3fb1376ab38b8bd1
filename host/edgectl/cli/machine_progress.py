# SPDX-License-Identifier: Apache-2.0
"""Emulated machines that are made and started, shown as progress."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from edgectl.cli.progress import Progress, Task

_IMAGE = "image"


class MachineProgress:
    """A `MachineObserver`: a task for the image where it is built, and one for each machine that starts."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stack = ExitStack()
        self._title = ""
        self._task: Task | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def image_advanced(self, step: str, fraction: float) -> None:
        self._reach(_IMAGE, step, fraction)

    def machine_advanced(self, name: str, phase: str, fraction: float) -> None:
        self._reach(name, phase, fraction)

    def waiting_for_another(self) -> None:
        self._progress.say("waiting for another edgectl that changes the emulated machines")

    def _reach(self, title: str, note: str, fraction: float) -> None:
        if self._task is None or title != self._title:
            self._stack.close()
            self._title = title
            self._task = self._stack.enter_context(self._progress.task(title, total=100, unit="%"))
        self._task.reach(round(100 * fraction), note=note)
