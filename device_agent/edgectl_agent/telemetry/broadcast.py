# SPDX-License-Identifier: Apache-2.0
"""Records to several listeners, each with a bounded queue: a slow one loses its oldest records, never holds up others.

A lost record shows as a gap in `sequence`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from edgectl_protos.errors import StateError
from edgectl_protos.metrics import TelemetryRecord

QUEUE_RECORDS = 32
MAX_SUBSCRIBERS = 16


class Subscription:
    """One listener's queue; iterating waits for the next record, and ends when the broadcast does."""

    def __init__(self) -> None:
        self._records: deque[TelemetryRecord] = deque(maxlen=QUEUE_RECORDS)
        self._wake = asyncio.Event()
        self._closed = False

    def push(self, record: TelemetryRecord) -> None:
        self._records.append(record)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[TelemetryRecord]:
        while True:
            while self._records:
                yield self._records.popleft()
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()


class Broadcast:
    """Where records are published and listened to."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def publish(self, record: TelemetryRecord) -> None:
        for subscription in self._subscriptions:
            subscription.push(record)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """A queue of what is published from now on.

        Raises:
            StateError: `MAX_SUBSCRIBERS` listen already.
        """
        if len(self._subscriptions) >= MAX_SUBSCRIBERS:
            raise StateError(
                f"{MAX_SUBSCRIBERS} telemetry streams are open", expected="fewer", action="close one of them"
            )
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()
