# SPDX-License-Identifier: Apache-2.0
"""Drives a program at a fixed rate in an `edge-runner periodic` process: what a vehicle or a monitor cares about."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import DeadlineError, RunnerError, UsageError

from edgectl_agent.runner.answers import is_error, read_answer
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.process import RunnerProcess, running, tied_to_agent

MAX_RELEASES = 1 << 20
GRACE_SECONDS = 300.0
"""For loading, warming up and a last slow run."""


@dataclass(frozen=True, slots=True)
class PeriodicLoad:
    """A release each 1 / `rate_hz` seconds; its result is due `deadline_ms` after it."""

    rate_hz: float
    seconds: float
    deadline_ms: float

    def __post_init__(self) -> None:
        for what, value, lowest, highest in (
            ("rate_hz", self.rate_hz, 0.01, 10_000.0),
            ("seconds", self.seconds, 0.1, 3_600.0),
            ("deadline_ms", self.deadline_ms, 0.001, 3_600_000.0),
            ("releases", self.rate_hz * self.seconds, 1.0, MAX_RELEASES),
        ):
            if not math.isfinite(value) or not lowest <= value <= highest:
                raise UsageError(f"{what} {value:g}", expected=f"{lowest:g} to {highest:g}", action="ask for another")


@dataclass(frozen=True, slots=True)
class PeriodicWindow:
    """About a second of the run; latencies are from a release to its result."""

    index: int
    releases: int
    missed: int
    skipped: int
    response_p50_ms: float
    response_max_ms: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """Milliseconds; p95 is None below 200 values, p99 below 1,000."""

    p50: float
    p90: float
    p95: float | None
    p99: float | None
    max: float


@dataclass(frozen=True, slots=True)
class PeriodicReport:
    """The whole run; docs/measurement.md says what jitter and gap are. Memory in bytes."""

    releases: int
    executed: int
    skipped: int
    missed: int
    response: Distribution
    execute: Distribution
    lateness: Distribution
    jitter_ms: float | None
    longest_gap_ms: float | None
    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int
    peak_rss_bytes: int
    load_ms: float
    threads: int
    cpus: tuple[int, ...]


async def run_periodic(
    runner: RunnerCommand,
    program: Path,
    load: PeriodicLoad,
    options: RunnerOptions,
    *,
    grace_seconds: float = GRACE_SECONDS,
) -> AsyncGenerator[PeriodicWindow | PeriodicReport, None]:
    """Each window as it ends, then the report. Closing the iterator kills the process.

    Raises:
        EdgectlError: the process failed, or printed something else.
        DeadlineError: it ran for `grace_seconds` more than it should; it was killed.
    """
    arguments = ["periodic", str(program), "--stream", "--rate", repr(load.rate_hz), "--seconds", repr(load.seconds)]
    arguments += ["--deadline-ms", repr(load.deadline_ms), *options.arguments(), *tied_to_agent()]
    report: PeriodicReport | None = None
    ends = asyncio.get_running_loop().time() + load.seconds + grace_seconds
    async with running(runner, *arguments) as process:
        while line := await _line_by(ends, process):
            parsed = None if is_error(line) else read_answer(line, "periodic", _parse)
            if isinstance(parsed, PeriodicReport):
                report = parsed
            elif parsed is not None:
                yield parsed
        await process.finish()
    if report is None:
        raise RunnerError("edge-runner periodic ended without a report", expected="one", action="run it by hand")
    yield report


async def _line_by(ends: float, process: RunnerProcess) -> bytes:
    """The next line, by a time of the event loop's clock."""
    try:
        async with asyncio.timeout_at(ends):
            return await process.line()
    except TimeoutError as error:
        raise DeadlineError(
            "edge-runner periodic still runs long after its last release was due",
            expected="its end",
            action="the program may hang",
        ) from error


def _parse(document: Any) -> PeriodicWindow | PeriodicReport:
    if "window" in document:
        return PeriodicWindow(
            index=int(document["window"]),
            releases=int(document["releases"]),
            missed=int(document["missed"]),
            skipped=int(document["skipped"]),
            response_p50_ms=float(document["response_p50_ms"] or 0.0),
            response_max_ms=float(document["response_max_ms"] or 0.0),
            rss_bytes=int(document["rss_bytes"]),
        )
    memory = document["memory"]
    return PeriodicReport(
        releases=int(document["releases"]),
        executed=int(document["executed"]),
        skipped=int(document["skipped"]),
        missed=int(document["missed"]),
        response=_distribution(document["response"]),
        execute=_distribution(document["execute"]),
        lateness=_distribution(document["lateness"]),
        jitter_ms=_optional(document["jitter_ms"]),
        longest_gap_ms=_optional(document["longest_gap_ms"]),
        program_bytes=int(memory["program_bytes"]),
        planned_bytes=int(memory["planned_bytes"]),
        load_rss_bytes=int(memory["load_rss_bytes"]),
        peak_rss_bytes=int(memory["peak_rss_bytes"]),
        load_ms=float(document["load_ms"]),
        threads=int(document["threads"]),
        cpus=tuple(int(cpu) for cpu in document["cpus"]),
    )


def _distribution(document: Any) -> Distribution:
    return Distribution(
        p50=float(document["p50"]),
        p90=float(document["p90"]),
        p95=_optional(document["p95"]),
        p99=_optional(document["p99"]),
        max=float(document["max"]),
    )


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)
