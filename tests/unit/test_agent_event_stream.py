# SPDX-License-Identifier: Apache-2.0
"""Blocks on their way to a reader that may be slow."""

from __future__ import annotations

import asyncio

from edgectl_agent.measure.stream import EventStream


async def _read(stream: EventStream[int]) -> list[int]:
    return [event async for event in stream]


def test_a_reader_that_keeps_up_gets_everything_in_order() -> None:
    async def both() -> tuple[list[int], int]:
        stream: EventStream[int] = EventStream(most=4)
        reading = asyncio.create_task(_read(stream))
        for event in range(100):
            stream.push(event)
            await asyncio.sleep(0)
        stream.end()
        return await reading, stream.dropped

    assert asyncio.run(both()) == (list(range(100)), 0)


def test_a_slow_reader_loses_the_oldest_and_they_are_counted() -> None:
    async def both() -> tuple[list[int], int]:
        stream: EventStream[int] = EventStream(most=4)
        for event in range(10):
            stream.push(event)
        stream.end()
        return await _read(stream), stream.dropped

    assert asyncio.run(both()) == ([6, 7, 8, 9], 6)


def test_an_end_wakes_a_reader_that_waits() -> None:
    async def both() -> list[int]:
        stream: EventStream[int] = EventStream()
        reading = asyncio.create_task(_read(stream))
        await asyncio.sleep(0.01)
        stream.end()
        return await asyncio.wait_for(reading, 10)

    assert asyncio.run(both()) == []
