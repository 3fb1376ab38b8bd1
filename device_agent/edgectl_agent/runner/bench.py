# SPDX-License-Identifier: Apache-2.0
"""Timing a program in a fresh `edge-runner bench` process; its blocks are passed on while it runs."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import RunnerError, UsageError

from edgectl_agent.runner.process import running, tied_to_agent

MAX_SECONDS = 3600.0
"""The longest a protocol may ask for, and the longest that a benchmark may take beyond that."""


@dataclass(frozen=True, slots=True)
class BenchProtocol:
    """How to measure. `threads` 0 leaves the number to the runner.

    A block ends when both `block_runs` and `block_seconds` are reached, the warm-up likewise.
    """

    name: str
    warmup_seconds: float
    warmup_runs: int
    blocks: int
    block_runs: int
    block_seconds: float
    threads: int

    @property
    def least_seconds(self) -> float:
        """How long it lasts however fast the program is."""
        return self.warmup_seconds + self.blocks * self.block_seconds

    def __post_init__(self) -> None:
        _within("warmup_seconds", self.warmup_seconds, 0, 600)
        _within("warmup_runs", self.warmup_runs, 0, 1_000_000)
        _within("blocks", self.blocks, 1, 10_000)
        _within("block_runs", self.block_runs, 1, 1_000_000)
        _within("block_seconds", self.block_seconds, 0, 600)
        _within("threads", self.threads, 0, 256)
        _within("warmup_seconds + blocks * block_seconds", self.least_seconds, 0, MAX_SECONDS)


@dataclass(frozen=True, slots=True)
class BenchBlock:
    """One block's samples in milliseconds, in order, and the process's resident bytes after it."""

    index: int
    samples_ms: tuple[float, ...]
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What the runner says at the end; memory in bytes."""

    unit: str
    block_sizes: tuple[int, ...]
    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int
    peak_rss_bytes: int
    load_ms: float
    warmup_runs: int
    threads: int


async def bench(runner: Path, program: Path, protocol: BenchProtocol) -> AsyncGenerator[BenchBlock | BenchReport, None]:
    """Each block as it ends, then the report. Closing the iterator kills the process.

    Raises:
        RunnerError: the process crashed ("crashed: SIGSEGV"), failed, or printed something else.
        BundleError: the program cannot be loaded.
    """
    arguments = ["bench", str(program), "--json", "--stream", *tied_to_agent()]
    arguments += ["--warmup-seconds", repr(protocol.warmup_seconds), "--warmup-runs", str(protocol.warmup_runs)]
    arguments += ["--blocks", str(protocol.blocks), "--block-runs", str(protocol.block_runs)]
    arguments += ["--block-seconds", repr(protocol.block_seconds)]
    if protocol.threads:
        arguments += ["--threads", str(protocol.threads)]
    report: BenchReport | None = None
    async with running(runner, *arguments) as process:
        async for line in process.lines():
            parsed = parse_bench_line(line)
            if isinstance(parsed, BenchReport):
                report = parsed
            elif parsed is not None:
                yield parsed
        await process.finish()
    if report is None:
        raise RunnerError("edge-runner bench ended without a report", expected="one", action="run it by hand")
    yield report


def parse_bench_line(line: bytes) -> BenchBlock | BenchReport | None:
    """One line of `bench --json --stream`; None for the runner's own error line, which its exit code explains.

    Raises:
        RunnerError: it is something else, or the kernel gave the runner no figure of its memory.
    """
    try:
        document: Any = json.loads(line)
        if "error" in document:
            return None
        if "block" in document:
            return BenchBlock(
                index=int(document["block"]),
                samples_ms=tuple(float(sample) for sample in document["samples"]),
                rss_bytes=int(document["rss_bytes"]),
            )
        memory = document["memory"]
        return BenchReport(
            unit=str(document["unit"]),
            block_sizes=tuple(int(size) for size in document["blocks"]),
            program_bytes=int(memory["program_bytes"]),
            planned_bytes=int(memory["planned_bytes"]),
            load_rss_bytes=int(memory["load_rss_bytes"]),
            peak_rss_bytes=int(memory["peak_rss_bytes"]),
            load_ms=float(document["load_ms"]),
            warmup_runs=int(document["warmup_runs"]),
            threads=int(document["threads"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RunnerError(
            f"edge-runner bench printed {line[:80]!r}", expected="its stream of JSON lines", action="check --runner"
        ) from error


def _within(what: str, value: float, lowest: float, highest: float) -> None:
    if not math.isfinite(value) or not lowest <= value <= highest:
        raise UsageError(f"{what} {value}", expected=f"{lowest} to {highest}", action="ask for another protocol")
