# SPDX-License-Identifier: Apache-2.0
"""Telemetry to several listeners: a slow one loses its own oldest records and nobody else's."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from edgectl_agent.telemetry.broadcast import MAX_SUBSCRIBERS, QUEUE_RECORDS, Broadcast
from edgectl_protos.errors import StateError
from edgectl_protos.metrics import TelemetryRecord


def _record(sequence: int) -> TelemetryRecord:
    return TelemetryRecord("d", "b", sequence, 0, 0, ())


def test_a_slow_listener_loses_the_oldest_records_only() -> None:
    async def scenario() -> list[int]:
        broadcast = Broadcast()
        with broadcast.subscribe() as records:
            for sequence in range(QUEUE_RECORDS + 5):
                broadcast.publish(_record(sequence))
            broadcast.close()
            return [record.sequence async for record in records]

    assert asyncio.run(scenario()) == list(range(5, QUEUE_RECORDS + 5))


def test_a_listener_waits_for_what_comes() -> None:
    async def scenario() -> int:
        broadcast = Broadcast()
        with broadcast.subscribe() as records:
            waiting = asyncio.ensure_future(anext(aiter(records)))
            await asyncio.sleep(0)
            broadcast.publish(_record(7))
            return (await waiting).sequence

    assert asyncio.run(scenario()) == 7


def test_too_many_listeners_are_refused_and_a_place_is_free_again() -> None:
    broadcast = Broadcast()
    with ExitStack() as stack:
        for _ in range(MAX_SUBSCRIBERS):
            stack.enter_context(broadcast.subscribe())
        with pytest.raises(StateError, match="streams are open"), broadcast.subscribe():
            pytest.fail("accepted")
    with broadcast.subscribe():
        pass
