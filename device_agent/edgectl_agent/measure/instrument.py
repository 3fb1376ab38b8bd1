# SPDX-License-Identifier: Apache-2.0
"""The board as an instrument: one measurement at a time, each with the evidence of the conditions it ran under."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

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
from edgectl_agent.measure.instructions import (
    Counted,
    InstructionCount,
    InstructionProtocol,
    RunCounter,
    count_instructions,
)
from edgectl_agent.measure.limits import check_tells_time, counting_options
from edgectl_agent.measure.protocol import MAX_SECONDS, MeasurementProtocol
from edgectl_agent.measure.session import Measured, MeasuredBlock, MeasurementSession, check_delegation
from edgectl_agent.measure.stream import EventStream
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.periodic import PeriodicLoad, PeriodicReport, PeriodicWindow, run_periodic
from edgectl_agent.runner.profile import Profile, profile
from edgectl_agent.runner.runtime import RuntimeFacts
from edgectl_agent.store.slots import Slot

_PROFILE_WARMUP_RUNS = 5
_PROFILE_SECONDS = 600.0
_MAX_ETDUMP_BYTES = 32 << 20

_RUNNER_MEMORY = Unavailable("the memory of an emulated runner is the emulator's; a whole emulated machine has figures")

_Result = TypeVar("_Result")


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
class CountedMeasurement:
    """Instructions for one inference as they were counted, the board's evidence, and how many counts were left out."""

    counted: Counted
    evidence: tuple[Evidence, ...]
    dropped_counts: int


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
    """Measures bundles that are on this board: in milliseconds, or where it is emulated in instructions.

    `counter` is what counts them; where nothing does it says why.
    """

    def __init__(
        self,
        *,
        installation: Installation,
        runner: RunnerCommand,
        runtime: RuntimeFacts,
        board: BoardFacts,
        conditions: BoardConditions,
        threads: int,
        counter: RunCounter | Unavailable,
        observers: tuple[ObserveBlock, ...] = (),
    ) -> None:
        self._installation = installation
        self._runner = runner
        self._runtime = runtime
        self._board = board
        self._conditions = conditions
        self._threads = threads
        self._observers = observers
        self._counter = counter
        self._running: str | None = None

    @property
    def counts_instructions(self) -> bool:
        return not isinstance(self._counter, Unavailable)

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
            UsageError: the board is emulated, and tells no time.
        """
        check_tells_time(self._board.emulator, "milliseconds")
        stream: EventStream[MeasuredBlock] = EventStream()
        async with aclosing(_followed(stream, self._measure(job, protocol, stream))) as events:
            async for event in events:
                yield event

    async def count(
        self, job: Job, protocol: InstructionProtocol
    ) -> AsyncGenerator[InstructionCount | CountedMeasurement, None]:
        """Counts while they come, then all of them; as `benchmark` otherwise.

        Raises:
            StateError: nothing counts instructions here, with the reason.
            UsageError: more than one thread, or another choice that an emulated board does not have.
            EdgectlError: as `benchmark`.
        """
        counter = self._counter
        if isinstance(counter, Unavailable):
            raise StateError(
                f"insn is unavailable: {counter.reason}",
                expected="a board emulated by a qemu-user that takes plugins",
                action="`edgectl doctor` says what is missing",
            )
        stream: EventStream[InstructionCount] = EventStream()
        work = self._count(counter, replace(job, options=counting_options(job.options)), protocol, stream)
        async with aclosing(_followed(stream, work)) as events:
            async for event in events:
                yield event

    async def profile(self, job: Job, *, runs: int, etdump: bool) -> ProfileResult:
        """The time of each operator, in a process of its own.

        Raises:
            EdgectlError: as `benchmark`.
        """
        check_tells_time(self._board.emulator, "a profile of operators' times")
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
        check_tells_time(self._board.emulator, "a run at a fixed rate")
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
        with self._turn(job):
            async with (
                _limited(protocol.limit_seconds) as limit,
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
        return Measurement(measured, (_named(protocol.name), *evidence), stream.dropped)

    async def _count(
        self, counter: RunCounter, job: Job, protocol: InstructionProtocol, stream: EventStream[InstructionCount]
    ) -> CountedMeasurement:
        """Without the conditions around it: they change how long instructions take, not how many there are."""
        limit = protocol.time_limit_seconds or 2 * MAX_SECONDS
        with self._turn(job):
            async with _limited(limit), self._held(job) as slot:
                counted = await count_instructions(
                    counter,
                    self._runner,
                    slot.program,
                    protocol,
                    job.options,
                    on_count=stream.push,
                    allow_undelegated=job.allow_undelegated,
                )
                lasting = lasting_evidence(self._board, self._runtime, slot.digest)
        memory = Evidence("resident_memory", _RUNNER_MEMORY)
        evidence = (_named(protocol.name), *lasting, Evidence("emulator_version", counter.version), memory)
        return CountedMeasurement(counted, evidence, stream.dropped)

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


async def _followed(
    stream: EventStream[Any], work: Coroutine[Any, Any, _Result]
) -> AsyncGenerator[Any | _Result, None]:
    """What `work` puts into the stream, then its result; closing the iterator cancels it."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: stream.end())
    try:
        async for event in stream:
            yield event
        yield await task
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def _limited(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Raises `DeadlineError` where the block lasts longer."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError as error:
        raise DeadlineError(
            f"the measurement still ran after {seconds:g} s",
            expected="its end by then",
            action=f"give it longer (at most {2 * MAX_SECONDS:g} s), or ask for fewer runs: the program is slow",
        ) from error


def _named(protocol: str) -> Evidence:
    return Evidence("protocol", protocol or Unavailable("the caller gave none"))


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
