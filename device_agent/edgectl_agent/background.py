# SPDX-License-Identifier: Apache-2.0
"""The tasks that run as long as the agent does: one that fails ends the agent, at once and with its reason."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any

from edgectl_protos.errors import InternalError


class Background:
    """Starts tasks; whoever awaits `over` learns that the agent shall end, or that one of them failed."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._failure: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task; it may be cancelled, and it may return, but it may not raise."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._note)
        return task

    def end(self) -> None:
        """Let `over` return."""
        self._over.set()

    async def over(self) -> None:
        """Wait for `end`.

        Raises:
            InternalError: a task failed.
        """
        await self._over.wait()
        if self._failure is not None:
            raise _defect(self._failure) from self._failure

    def _note(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and self._failure is None:
            self._failure = task.exception()
            self._over.set()


def _defect(failure: BaseException) -> InternalError:
    """One line: what was raised, and where."""
    frames = traceback.extract_tb(failure.__traceback__)
    place = f" in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    said = " ".join(str(failure).split())
    return InternalError(
        f"{type(failure).__name__}: {said}{place}",
        expected="no failure in the background",
        action="start the agent again, as its service does; report this line",
    )
