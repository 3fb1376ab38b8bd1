# SPDX-License-Identifier: Apache-2.0
"""The circumstances of a measurement, as the board tells them: before it, while it runs, and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from edgectl_protos.metrics import Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.board.facts import BoardFacts
from edgectl_agent.runner.runtime import RuntimeFacts

_WATCH_SECONDS = 0.25
_FLAGS = {0: "under-voltage", 1: "the frequency was capped", 2: "throttled", 3: "the soft temperature limit was active"}
_SINCE_BOOT = 16


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing the board says about the circumstances of a measurement."""

    name: str
    reading: str | Unavailable


@dataclass(frozen=True, slots=True)
class Conditions:
    """What changes while a board works."""

    governor: str | Unavailable
    frequency_khz: str | Unavailable
    temperature: float | Unavailable
    throttled: float | Unavailable
    under_voltage_alarm: str | Unavailable
    load_average: str | Unavailable

    def evidence(self, moment: str) -> tuple[Evidence, ...]:
        """Each reading, named with the moment: "before" or "after"."""
        flags = self.throttled if isinstance(self.throttled, Unavailable) else hex(int(self.throttled))
        celsius = self.temperature if isinstance(self.temperature, Unavailable) else f"{self.temperature:.1f}"
        return (
            Evidence(f"governor.{moment}", self.governor),
            Evidence(f"frequency_khz.{moment}", self.frequency_khz),
            Evidence(f"temperature_celsius.{moment}", celsius),
            Evidence(f"throttled.{moment}", flags),
            Evidence(f"under_voltage_alarm.{moment}", self.under_voltage_alarm),
            Evidence(f"load_average.{moment}", self.load_average),
        )


@dataclass(slots=True)
class FrequencyWatch:
    """The processor's frequency while a measurement runs; its reading is the lowest seen, in kHz."""

    conditions: BoardConditions
    lowest: int | None = None
    reason: str = "the measurement ended before it could be read"

    @property
    def reading(self) -> str | Unavailable:
        return Unavailable(self.reason) if self.lowest is None else str(self.lowest)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            reading = self.conditions.frequency_khz()
            if isinstance(reading, Unavailable) or not reading.isdigit():
                self.reason = (
                    reading.reason if isinstance(reading, Unavailable) else f"the kernel says {reading[:40]!r}"
                )
                return
            self.lowest = int(reading) if self.lowest is None else min(self.lowest, int(reading))
            await asyncio.sleep(_WATCH_SECONDS)


async def read_conditions(board: BoardConditions) -> Conditions:
    return Conditions(
        governor=board.governor(),
        frequency_khz=board.frequency_khz(),
        temperature=board.temperature(),
        throttled=await board.throttled(),
        under_voltage_alarm=board.under_voltage_alarm(),
        load_average=board.load_average(),
    )


def lasting_evidence(board: BoardFacts, runtime: RuntimeFacts, digest: str) -> tuple[Evidence, ...]:
    """What does not change while the board is up, and which bundle was measured."""
    return (
        Evidence("bundle_digest", digest),
        Evidence("runtime", runtime.runtime),
        Evidence("architecture", runtime.architecture),
        Evidence("kernel", board.kernel),
        Evidence("cpu_model", board.cpu_model or Unavailable("/proc/cpuinfo names none")),
        Evidence("cpu_count", str(board.cpu_count)),
    )


def throttling(before: Conditions, after: Conditions) -> tuple[str, ...]:
    """What held the board back between the two, in words; nothing where it tells of nothing, or cannot tell.

    The flags since boot tell only of what is new: one that was set before says nothing of the time between.
    """
    told = []
    if not isinstance(before.throttled, Unavailable) and not isinstance(after.throttled, Unavailable):
        now = int(after.throttled)
        new = now & ~int(before.throttled)
        told = [text for bit, text in _FLAGS.items() if now >> bit & 1 or new >> (bit + _SINCE_BOOT) & 1]
    if after.under_voltage_alarm == "1" and _FLAGS[0] not in told:
        told.append(_FLAGS[0])
    return tuple(told)


def new_flags(before: Conditions, after: Conditions) -> str | Unavailable:
    """The throttle flags that were set in between, as the board's number."""
    for reading in (before.throttled, after.throttled):
        if isinstance(reading, Unavailable):
            return reading
    return hex(_number(after.throttled) & ~_number(before.throttled))


def _number(reading: float | Unavailable) -> int:
    return 0 if isinstance(reading, Unavailable) else int(reading)
