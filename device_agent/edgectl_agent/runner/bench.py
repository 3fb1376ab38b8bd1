# SPDX-License-Identifier: Apache-2.0
"""A fresh `edge-runner bench --paced` process, which times a block when it is told to; and cold loads, untimed."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import RunnerError

from edgectl_agent.runner.answers import is_error, read_answer
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.outcome import runner_failure
from edgectl_agent.runner.process import RunnerProcess, run_once, running, tied_to_agent

_COLD_RUNS = 2
_COLD_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class BlockProtocol:
    """A warm-up and a block each last at least their seconds and their runs."""

    warmup_seconds: float
    warmup_runs: int
    block_runs: int
    block_seconds: float

    def arguments(self) -> list[str]:
        """As flags of edge-runner."""
        return [
            *("--warmup-seconds", repr(self.warmup_seconds)),
            *("--warmup-runs", str(self.warmup_runs)),
            *("--block-runs", str(self.block_runs)),
            *("--block-seconds", repr(self.block_seconds)),
        ]


@dataclass(frozen=True, slots=True)
class TimedBlock:
    """Samples in milliseconds, in order, and the process's resident bytes after them."""

    samples_ms: tuple[float, ...]
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Warmup:
    """How the process warmed up; `stable` is false where it reached its limit first."""

    runs: int
    seconds: float
    stable: bool


@dataclass(frozen=True, slots=True)
class BenchSummary:
    """What the process says at its end."""

    unit: str
    threads: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ColdLoad:
    """One load in a fresh process and its memory after two untimed runs, in bytes; 0 for what the kernel hides."""

    load_ms: float
    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int
    load_anonymous_bytes: int
    peak_rss_bytes: int


class PacedBench:
    """A program that is loaded and warm."""

    def __init__(self, process: RunnerProcess, warmup: Warmup) -> None:
        self._process = process
        self.warmup = warmup

    async def block(self) -> TimedBlock:
        """Time one block.

        Raises:
            EdgectlError: how the process ended instead.
        """
        await self._process.write(b"block\n")
        return read_answer(await _answer(self._process), "bench", parse_block)

    async def finish(self) -> BenchSummary:
        """Let it end.

        Raises:
            EdgectlError: it did not end well.
        """
        await self._process.write(b"end\n")
        summary = read_answer(await _answer(self._process), "bench", _summary)
        await self._process.finish()
        return summary


@asynccontextmanager
async def paced_bench(
    runner: RunnerCommand, program: Path, protocol: BlockProtocol, options: RunnerOptions
) -> AsyncIterator[PacedBench]:
    """A fresh process, loaded and warmed up; it is dead when the block is left.

    Raises:
        RunnerError: it crashed ("crashed: SIGSEGV"), failed, or printed something else.
        BundleError: the program cannot be loaded.
    """
    arguments = ["bench", str(program), "--paced", *protocol.arguments(), *options.arguments(), *tied_to_agent()]
    async with running(runner, *arguments, commanded=True) as process:
        yield PacedBench(process, read_answer(await _answer(process), "bench", _warmup))


async def cold_load(runner: RunnerCommand, program: Path, options: RunnerOptions) -> ColdLoad:
    """Load the program in a fresh process, with its file out of the page cache where nobody else has it mapped.

    Raises:
        EdgectlError: as `paced_bench`.
    """
    _forget_cached(program)
    arguments = ["bench", str(program), "--json", "--warmup-seconds", "0", "--warmup-runs", "0"]
    arguments += ["--runs", str(_COLD_RUNS), *options.arguments(), *tied_to_agent()]
    returncode, answer, stderr = await run_once(runner, *arguments, seconds=_COLD_SECONDS)
    if returncode != 0:
        raise runner_failure(returncode, stderr)
    return read_answer(answer, "bench", parse_cold_load)


def _forget_cached(program: Path) -> None:
    with contextlib.suppress(OSError), program.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _answer(process: RunnerProcess) -> bytes:
    """The next line; where there is none, or it is an error's, the process has ended and its end is the error."""
    line = await process.line()
    if line and not is_error(line):
        return line
    await process.finish()
    raise RunnerError("edge-runner bench ended without an answer", expected="one", action="run it by hand")


def _warmup(document: Any) -> Warmup:
    return Warmup(
        runs=int(document["warmup_runs"]),
        seconds=float(document["warmup_seconds"]),
        stable=bool(document["warmup_stable"]),
    )


def parse_block(document: Any) -> TimedBlock:
    """The block in a line that `bench --paced` prints; one without samples, or with one that is none, is refused."""
    samples = tuple(float(sample) for sample in document["samples"])
    if not samples or not all(0 < sample < math.inf for sample in samples):
        raise ValueError("no block of durations")
    return TimedBlock(samples_ms=samples, rss_bytes=int(document["rss_bytes"]))


def _summary(document: Any) -> BenchSummary:
    return BenchSummary(
        unit=str(document["unit"]),
        threads=int(document["threads"]),
        cpus=tuple(int(cpu) for cpu in document["cpus"]),
    )


def parse_cold_load(document: Any) -> ColdLoad:
    """The load in what `bench --json` prints; figures of memory that the kernel does not tell are refused."""
    memory = document["memory"]
    return ColdLoad(
        load_ms=float(document["load_ms"]),
        program_bytes=int(memory["program_bytes"]),
        planned_bytes=int(memory["planned_bytes"]),
        load_rss_bytes=int(memory["load_rss_bytes"]),
        load_anonymous_bytes=int(memory.get("load_anon_bytes") or 0),
        peak_rss_bytes=int(memory["peak_rss_bytes"]),
    )
