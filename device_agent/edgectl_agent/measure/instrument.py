# SPDX-License-Identifier: Apache-2.0
"""The board as an instrument: one measurement at a time, each with the evidence of the conditions it ran under."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edgectl_protos.errors import DeadlineError, RunnerError, StateError
from edgectl_protos.metrics import Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.board.facts import BoardFacts
from edgectl_agent.installation import Installation
from edgectl_agent.measure.evidence import (
    Conditions,
    Evidence,
    FrequencyWatch,
    lasting_evidence,
    new_flags,
    read_conditions,
)
from edgectl_agent.measure.protocol import MAX_SECONDS, MeasurementProtocol
from edgectl_agent.measure.session import Measured, MeasuredBlock, MeasurementSession, check_delegation
from edgectl_agent.measure.stream import EventStream
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.periodic import PeriodicLoad, PeriodicReport, PeriodicWindow, run_periodic
from edgectl_agent.runner.profile import Profile, profile
from edgectl_agent.runner.runtime import RuntimeFacts
from edgectl_agent.store.slots import Slot

_PROFILE_WARMUP_RUNS = 5
_PROFILE_SECONDS = 600.0
_MAX_ETDUMP_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure: the bundle of that digest ("" is the active one), and how its runner is started."""

    name: str
    digest: str
    options: RunnerOptions
    allow_undelegated: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured, the board's evidence, and how many blocks the stream left out."""

    measured: Measured
    evidence: tuple[Evidence, ...]
    dropped_blocks: int


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """A program's operators, the board's evidence, and the ETDump file where it was asked for."""

    profile: Profile
    evidence: tuple[Evidence, ...]
    etdump: bytes


@dataclass(frozen=True, slots=True)
class PeriodicResult:
    """A run at a fixed rate, and the board's evidence."""

    report: PeriodicReport
    evidence: tuple[Evidence, ...]


ObserveBlock = Callable[[str, str, MeasuredBlock], None]
"""Is told the model's name, the bundle's digest and each block as it is taken; it neither waits nor raises."""


class Instrument:
    """Measures bundles that are on this board."""

    def __init__(
        self,
        *,
        installation: Installation,
        runner: Path,
        runtime: RuntimeFacts,
        board: BoardFacts,
        conditions: BoardConditions,
        threads: int,
        observers: tuple[ObserveBlock, ...] = (),
    ) -> None:
        self._installation = installation
        self._runner = runner
        self._runtime = runtime
        self._board = board
        self._conditions = conditions
        self._threads = threads
        self._observers = observers
        self._running: str | None = None

    async def benchmark(
        self, job: Job, protocol: MeasurementProtocol
    ) -> AsyncGenerator[MeasuredBlock | Measurement, None]:
        """Blocks while they come, then the measurement. Closing the iterator kills the processes.

        The measuring side never waits for whoever reads: blocks that are not read in time are left out and counted.

        Raises:
            StateError: something is measured already, or there is no such bundle.
            UndelegatedError: operators run outside a delegate, and that is not allowed.
            RunnerError: a runner crashed ("crashed: SIGSEGV"), ran out of memory or failed.
            DeadlineError: it took longer than the protocol's limit; its processes are gone.
        """
        stream: EventStream[MeasuredBlock] = EventStream()
        work = asyncio.create_task(self._measure(job, protocol, stream))
        work.add_done_callback(lambda _: stream.end())
        try:
            async for block in stream:
                yield block
            yield await work
        finally:
            work.cancel()
            await asyncio.wait({work})

    async def profile(self, job: Job, *, runs: int, etdump: bool) -> ProfileResult:
        """The time of each operator, in a process of its own.

        Raises:
            EdgectlError: as `benchmark`.
        """
        with self._turn(job), tempfile.TemporaryDirectory(prefix="edge-agent-") as folder:
            dump = Path(folder) / "profile.etdp" if etdump else None
            async with self._held(job) as slot, self._observed(slot) as evidence:
                found = await profile(
                    self._runner,
                    slot.program,
                    self._completed(job.options),
                    runs=runs,
                    warmup_runs=_PROFILE_WARMUP_RUNS,
                    seconds=_PROFILE_SECONDS,
                    etdump=dump,
                )
            return ProfileResult(found, tuple(evidence), _read_dump(dump))

    async def run_periodic(self, job: Job, load: PeriodicLoad) -> AsyncGenerator[PeriodicWindow | PeriodicResult, None]:
        """Windows while they come, then the result. Closing the iterator kills the process.

        Raises:
            EdgectlError: as `benchmark`.
        """
        with self._turn(job):
            completed = self._completed(job.options)
            async with self._held(job) as slot, self._observed(slot) as evidence:
                await check_delegation(self._runner, slot.program, completed, allow=job.allow_undelegated)
                report: PeriodicReport | None = None
                async with aclosing(run_periodic(self._runner, slot.program, load, completed)) as events:
                    async for event in events:
                        if isinstance(event, PeriodicReport):
                            report = event
                        else:
                            yield event
            if report is not None:
                yield PeriodicResult(report, tuple(evidence))

    async def _measure(
        self, job: Job, protocol: MeasurementProtocol, stream: EventStream[MeasuredBlock]
    ) -> Measurement:
        try:
            with self._turn(job):
                async with (
                    asyncio.timeout(protocol.limit_seconds) as limit,
                    self._held(job) as slot,
                    self._observed(slot) as evidence,
                ):
                    session = MeasurementSession(
                        runner=self._runner,
                        program=slot.program,
                        protocol=protocol,
                        options=self._completed(job.options),
                        ends=limit.when() or math.inf,
                        conditions=lambda: read_conditions(self._conditions),
                        on_block=self._announcer(job.name, slot.digest, stream),
                    )
                    measured = await session.run(allow_undelegated=job.allow_undelegated)
            named = Evidence("protocol", protocol.name or Unavailable("the caller gave none"))
            return Measurement(measured, (named, *evidence), stream.dropped)
        except TimeoutError as error:
            raise DeadlineError(
                f"the measurement still ran after {protocol.limit_seconds:g} s",
                expected="its end by then",
                action=f"give it longer (at most {2 * MAX_SECONDS:g} s), or ask for fewer runs: the program is slow",
            ) from error

    def _announcer(self, name: str, digest: str, stream: EventStream[MeasuredBlock]) -> Callable[[MeasuredBlock], None]:
        def announce(block: MeasuredBlock) -> None:
            stream.push(block)
            for observer in self._observers:
                observer(name, digest, block)

        return announce

    def _held(self, job: Job) -> AbstractAsyncContextManager[Slot]:
        return self._installation.held(job.name, job.digest)

    def _completed(self, options: RunnerOptions) -> RunnerOptions:
        return replace(options, threads=options.threads or self._threads)

    @asynccontextmanager
    async def _observed(self, slot: Slot) -> AsyncIterator[list[Evidence]]:
        """A list that holds the evidence once the block has ended."""
        evidence: list[Evidence] = []
        before = await read_conditions(self._conditions)
        watch = FrequencyWatch(self._conditions)
        async with watch.watching():
            yield evidence
        evidence += self._evidence(slot, before, await read_conditions(self._conditions), watch)

    def _evidence(
        self, slot: Slot, before: Conditions, after: Conditions, watch: FrequencyWatch
    ) -> tuple[Evidence, ...]:
        return (
            *lasting_evidence(self._board, self._runtime, slot.digest),
            *before.evidence("before"),
            *after.evidence("after"),
            Evidence("frequency_khz.lowest", watch.reading),
            Evidence("throttled.new", new_flags(before, after)),
        )

    @contextmanager
    def _turn(self, job: Job) -> Iterator[None]:
        """One measurement at a time: two would measure each other."""
        if self._running is not None:
            raise StateError(f"busy: {self._running!r} is measured", expected="one at a time", action="ask again later")
        self._running = job.name
        try:
            yield
        finally:
            self._running = None


def _read_dump(dump: Path | None) -> bytes:
    if dump is None:
        return b""
    if not dump.is_file():
        raise RunnerError("edge-runner profile left no ETDump", expected="the file it was told to write")
    if dump.stat().st_size > _MAX_ETDUMP_BYTES:
        raise StateError(
            f"an ETDump of {dump.stat().st_size} bytes",
            expected=f"at most {_MAX_ETDUMP_BYTES}",
            action="ask for fewer runs",
        )
    return dump.read_bytes()
