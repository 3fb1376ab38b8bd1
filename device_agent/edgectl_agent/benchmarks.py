# SPDX-License-Identifier: Apache-2.0
"""Benchmarks on this device, one at a time, each with the evidence of the conditions it ran under."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from edgectl_protos.errors import DeadlineError, StateError
from edgectl_protos.metrics import Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.board.facts import BoardFacts
from edgectl_agent.installation import Installation
from edgectl_agent.runner.bench import MAX_SECONDS, BenchBlock, BenchProtocol, BenchReport, bench
from edgectl_agent.runner.runtime import RuntimeFacts

READING_SECONDS = 60.0
"""A caller that takes longer to read one event loses the benchmark: nobody else can run one meanwhile."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing the board says about the circumstances of a measurement."""

    name: str
    reading: str | Unavailable


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The runner's report and the board's evidence."""

    report: BenchReport
    evidence: tuple[Evidence, ...]


_Events = asyncio.Queue[BenchBlock | BenchmarkResult | None]


class Benchmarks:
    """Runs one benchmark at a time: two would measure each other."""

    def __init__(
        self,
        *,
        installation: Installation,
        runner: Path,
        runtime: RuntimeFacts,
        board: BoardFacts,
        conditions: BoardConditions,
        threads: int,
    ) -> None:
        self._installation = installation
        self._runner = runner
        self._runtime = runtime
        self._board = board
        self._conditions = conditions
        self._threads = threads
        self._running = ""

    async def run(
        self, name: str, digest: str, protocol: BenchProtocol
    ) -> AsyncGenerator[BenchBlock | BenchmarkResult, None]:
        """Blocks while they come, then the result. Closing the iterator kills the runner.

        Raises:
            StateError: a benchmark is running already, or there is no such bundle.
            RunnerError: the runner crashed or failed.
            DeadlineError: it took `MAX_SECONDS` longer than its protocol needs at least, or an event was not read for
                `READING_SECONDS`; the runner is gone by then, whether the iterator is asked again or not.
        """
        if self._running:
            raise StateError(
                f"busy: a benchmark of {self._running!r} is running", expected="one at a time", action="ask again later"
            )
        self._running = name
        events: _Events = asyncio.Queue()
        work = asyncio.create_task(self._work(name, digest, protocol, events))
        try:
            while (event := await events.get()) is not None:
                yield event
                events.task_done()
            await work
        finally:
            work.cancel()
            await asyncio.wait({work})

    async def _work(self, name: str, digest: str, protocol: BenchProtocol, events: _Events) -> None:
        """Put each event, and None at the end; a task of its own, for its end must not wait for a reader."""
        try:
            async with asyncio.timeout(protocol.least_seconds + MAX_SECONDS):
                async with aclosing(self._measure(name, digest, protocol)) as measured:
                    async for event in measured:
                        events.put_nowait(event)
                        await _until_read(events)
        except TimeoutError as error:
            raise DeadlineError(
                f"the benchmark still runs {MAX_SECONDS:g} s after its protocol's least time",
                expected="an end by then",
                action="ask for fewer runs: the program is slow",
            ) from error
        finally:
            self._running = ""
            events.put_nowait(None)

    async def _measure(
        self, name: str, digest: str, protocol: BenchProtocol
    ) -> AsyncGenerator[BenchBlock | BenchmarkResult, None]:
        async with self._installation.held(name, digest) as slot:
            before = await self._changing("before")
            wanted = replace(protocol, threads=protocol.threads or self._threads)
            async with aclosing(bench(self._runner, slot.program, wanted)) as events:
                async for event in events:
                    if isinstance(event, BenchReport):
                        after = await self._changing("after")
                        yield BenchmarkResult(event, (*self._lasting(protocol, slot.digest), *before, *after))
                    else:
                        yield event

    def _lasting(self, protocol: BenchProtocol, digest: str) -> tuple[Evidence, ...]:
        board = self._board
        return (
            Evidence("protocol", protocol.name or Unavailable("the caller gave none")),
            Evidence("bundle_digest", digest),
            Evidence("runtime", self._runtime.runtime),
            Evidence("architecture", self._runtime.architecture),
            Evidence("kernel", board.kernel),
            Evidence("cpu_model", board.cpu_model or Unavailable("/proc/cpuinfo names none")),
            Evidence("cpu_count", str(board.cpu_count)),
        )

    async def _changing(self, moment: str) -> tuple[Evidence, ...]:
        conditions = self._conditions
        throttled = await conditions.throttled()
        return (
            Evidence(f"governor.{moment}", conditions.governor()),
            Evidence(f"frequency_khz.{moment}", conditions.frequency_khz()),
            Evidence(f"temperature_celsius.{moment}", _text(conditions.temperature(), "{:.1f}")),
            Evidence(f"throttled.{moment}", throttled if isinstance(throttled, Unavailable) else hex(int(throttled))),
            Evidence(f"load_average.{moment}", conditions.load_average()),
        )


async def _until_read(events: _Events) -> None:
    try:
        async with asyncio.timeout(READING_SECONDS):
            await events.join()
    except TimeoutError as error:
        raise DeadlineError(
            f"nobody read the benchmark's events for {READING_SECONDS:g} s",
            expected="a caller that reads",
            action="ask again and keep reading, or cancel the call",
        ) from error


def _text(reading: float | Unavailable, form: str) -> str | Unavailable:
    return reading if isinstance(reading, Unavailable) else form.format(reading)
