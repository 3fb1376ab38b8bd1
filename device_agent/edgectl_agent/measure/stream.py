# SPDX-License-Identifier: Apache-2.0
"""Events on their way to one reader. The measuring side never waits: what the reader is too slow for is left out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

_Event = TypeVar("_Event")

QUEUE_EVENTS = 64


class EventStream(Generic[_Event]):
    """A bounded queue that drops its oldest entries and counts them."""

    def __init__(self, most: int = QUEUE_EVENTS) -> None:
        self._events: deque[_Event] = deque(maxlen=most)
        self._wake = asyncio.Event()
        self._ended = False
        self.dropped = 0

    def push(self, event: _Event) -> None:
        if len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append(event)
        self._wake.set()

    def end(self) -> None:
        """Let the reader finish once it has read what is there."""
        self._ended = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[_Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()
