# SPDX-License-Identifier: Apache-2.0
"""One measurement from its first cold load to its last attempt: which processes run when, and what is kept of them.

    delegation check -> cold loads -> candidate and reference, each loaded and warm in a process of its own
    -> attempt: reference, candidate, reference, ... -> judged -> accepted, or cool down and try again

Every process is fresh, and dead when the measurement ends, by whatever way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import UndelegatedError
from edgectl_protos.quantiles import quantile

from edgectl_agent.measure.acceptance import Attempt, Samples, judge, steadiest
from edgectl_agent.measure.evidence import Conditions, throttling
from edgectl_agent.measure.protocol import MeasurementProtocol
from edgectl_agent.measure.reference import REFERENCE_PROGRAM
from edgectl_agent.runner.bench import BenchSummary, ColdLoad, PacedBench, Warmup, cold_load, paced_bench
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.profile import Profile, profile

COLD_LOADS = 3
_CHECK_RUNS = 2
_CHECK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class MeasuredBlock:
    """One block as it was taken: samples in milliseconds, and the resident bytes of its process after it."""

    attempt: int
    index: int
    reference: bool
    samples_ms: Samples
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a measurement found; `chosen` is the accepted attempt, or the steadiest."""

    attempts: tuple[Attempt, ...]
    chosen: int
    cold_loads: tuple[ColdLoad, ...]
    warmup: Warmup
    summary: BenchSummary
    undelegated: tuple[str, ...]

    @property
    def load_rss_bytes(self) -> int:
        return _median([load.load_rss_bytes for load in self.cold_loads])

    @property
    def load_anonymous_bytes(self) -> int:
        return _median([load.load_anonymous_bytes for load in self.cold_loads])

    @property
    def peak_rss_bytes(self) -> int:
        return max(load.peak_rss_bytes for load in self.cold_loads)


@dataclass(frozen=True, slots=True)
class MeasurementSession:
    """Measures one program; `on_block` is told of each block, and neither waits nor raises.

    By `ends`, a time of the event loop's clock, the caller breaks it off: no attempt is made that would last longer.
    """

    runner: RunnerCommand
    program: Path
    protocol: MeasurementProtocol
    options: RunnerOptions
    ends: float
    conditions: Callable[[], Awaitable[Conditions]]
    on_block: Callable[[MeasuredBlock], None]

    async def run(self, *, allow_undelegated: bool) -> Measured:
        """Measure.

        Raises:
            UndelegatedError: operators run outside a delegate, and that is not allowed.
            EdgectlError: a process crashed, ran out of memory or failed.
        """
        undelegated = await check_delegation(self.runner, self.program, self.options, allow=allow_undelegated)
        cold = tuple([await cold_load(self.runner, self.program, self.options) for _ in range(COLD_LOADS)])
        async with AsyncExitStack() as stack:
            candidate = await stack.enter_async_context(self._loaded(self.program))
            reference = None
            if self.protocol.max_drift:
                reference = await stack.enter_async_context(self._loaded(REFERENCE_PROGRAM))
            attempts = await self._attempts(candidate, reference)
            summary = await candidate.finish()
        return Measured(attempts, steadiest(attempts), cold, candidate.warmup, summary, undelegated)

    def _loaded(self, program: Path) -> AbstractAsyncContextManager[PacedBench]:
        return paced_bench(self.runner, program, self.protocol.block, self.options)

    async def _attempts(self, candidate: PacedBench, reference: PacedBench | None) -> tuple[Attempt, ...]:
        attempts: list[Attempt] = []
        now = asyncio.get_running_loop().time
        cooldown = self.protocol.cooldown_seconds
        for number in range(self.protocol.attempts):
            if attempts:
                await asyncio.sleep(cooldown)
            begun = now()
            attempts.append(await self._attempt(number, candidate, reference))
            ended = now()
            if not attempts[-1].reasons or ended + cooldown + (ended - begun) > self.ends:
                break
        return tuple(attempts)

    async def _attempt(self, number: int, candidate: PacedBench, reference: PacedBench | None) -> Attempt:
        candidates: list[Samples] = []
        references: list[Samples] = []
        before = await self.conditions()
        if reference is not None:
            references.append(await self._block(number, 0, reference, is_reference=True))
        for index in range(self.protocol.blocks):
            candidates.append(await self._block(number, index, candidate, is_reference=False))
            if reference is not None:
                references.append(await self._block(number, index + 1, reference, is_reference=True))
        limits = {"max_variation": self.protocol.max_variation, "max_drift": self.protocol.max_drift}
        reasons = (*judge(candidates, references, **limits), *throttling(before, await self.conditions()))
        return Attempt(tuple(candidates), tuple(references), reasons)

    async def _block(self, attempt: int, index: int, bench: PacedBench, *, is_reference: bool) -> Samples:
        taken = await bench.block()
        self.on_block(MeasuredBlock(attempt, index, is_reference, taken.samples_ms, taken.rss_bytes))
        return taken.samples_ms


async def check_delegation(
    runner: RunnerCommand, program: Path, options: RunnerOptions, *, allow: bool, shares: bool = True
) -> tuple[str, ...]:
    """Names of the operators that run outside a delegate, found by running it.

    Raises:
        UndelegatedError: there are some, and that is not allowed; the message has their shares of the time, unless
            `shares` is false.
    """
    found: Profile = await profile(runner, program, options, runs=_CHECK_RUNS, warmup_runs=1, seconds=_CHECK_SECONDS)
    outside = found.undelegated()
    if outside and not allow:
        raise UndelegatedError(
            describe_undelegated(outside, shares=shares),
            expected="every operator inside the delegate: a figure of portable kernels says nothing of the model",
            action="lower the model so that it stays inside (docs/lowering.md), or ask for it with --allow-undelegated",
        )
    return tuple(name for name, _ in outside)


def describe_undelegated(outside: tuple[tuple[str, float], ...], *, most: int = 8, shares: bool = True) -> str:
    """One line: how many, and each with its share of the time."""
    shown = ", ".join(f"{name} ({share:.1%} of the time)" if shares else name for name, share in outside[:most])
    more = f" and {len(outside) - most} more" if len(outside) > most else ""
    plural = "operator runs" if len(outside) == 1 else "operators run"
    return f"{len(outside)} {plural} outside the delegate: {shown}{more}"


def _median(values: list[int]) -> int:
    return round(quantile(sorted(float(value) for value in values), 0.5))
