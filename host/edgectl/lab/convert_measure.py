# SPDX-License-Identifier: Apache-2.0
"""Protobuf to values and back, for what the lab measures. What an agent sends is checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from edgectl_protos.errors import ProtocolError, RunnerError
from edgectl_protos.metrics import Unavailable
from edgectl_protos.v1 import agent_pb2

from edgectl.lab.convert import printable
from edgectl.lab.device_values import (
    BenchmarkBlock,
    BenchmarkResult,
    Evidence,
    InstructionCount,
    InstructionResult,
    PeriodicAnswer,
    ProfileAnswer,
    Warmup,
)
from edgectl.lab.measurement import Attempt, Blocks, MemoryFigures
from edgectl.lab.periodic import Distribution, PeriodicFigures, PeriodicLoad, PeriodicWindow
from edgectl.lab.profile import ProfiledCall, ProfiledOperator
from edgectl.lab.protocol import MAX_ATTEMPTS, MAX_BLOCKS, MAX_COUNTS, InstructionProtocol, MeasurementProtocol
from edgectl.lab.runner_choice import RunnerChoice

_Figure = TypeVar("_Figure", int, float)
_Entry = TypeVar("_Entry")

# A message of the longest there may be could hold millions of empty ones.
_MAX_ENTRIES = 1_000
_MAX_CALLS = 100_000


def benchmark_request(
    name: str, digest: str, protocol: MeasurementProtocol, choice: RunnerChoice
) -> agent_pb2.BenchmarkRequest:
    return agent_pb2.BenchmarkRequest(
        name=name,
        digest=digest,
        protocol=protocol.name,
        warmup_seconds=protocol.warmup_seconds,
        warmup_runs=protocol.warmup_runs,
        blocks=protocol.blocks,
        block_runs=protocol.block_runs,
        block_seconds=protocol.block_seconds,
        max_variation=protocol.max_variation,
        max_drift=protocol.max_drift,
        attempts=protocol.attempts,
        cooldown_seconds=protocol.cooldown_seconds,
        time_limit_seconds=protocol.time_limit_seconds,
        allow_undelegated=choice.allow_undelegated,
        runner=_options(choice),
    )


def count_request(
    name: str, digest: str, protocol: InstructionProtocol, choice: RunnerChoice
) -> agent_pb2.BenchmarkRequest:
    return agent_pb2.BenchmarkRequest(
        name=name,
        digest=digest,
        protocol=protocol.name,
        instructions=agent_pb2.InstructionProtocol(
            counts=protocol.counts, short_runs=protocol.short_runs, long_runs=protocol.long_runs
        ),
        time_limit_seconds=protocol.time_limit_seconds,
        allow_undelegated=choice.allow_undelegated,
        runner=_options(choice),
    )


def profile_request(
    name: str, digest: str, choice: RunnerChoice, *, runs: int, etdump: bool
) -> agent_pb2.ProfileRequest:
    return agent_pb2.ProfileRequest(name=name, digest=digest, runs=runs, etdump=etdump, runner=_options(choice))


def periodic_request(name: str, digest: str, load: PeriodicLoad, choice: RunnerChoice) -> agent_pb2.PeriodicRequest:
    return agent_pb2.PeriodicRequest(
        name=name,
        digest=digest,
        rate_hz=load.rate_hz,
        seconds=load.seconds,
        deadline_ms=load.deadline_ms,
        runner=_options(choice),
        allow_undelegated=choice.allow_undelegated,
    )


def benchmark_event(message: agent_pb2.BenchmarkEvent) -> BenchmarkBlock | BenchmarkResult | None:
    """A block or the result, in milliseconds; None for an event that a later version added.

    Raises:
        ProtocolError: the result is in another unit.
        RunnerError: the result lacks a figure.
    """
    kind = message.WhichOneof("event")
    if kind == "block":
        block = message.block
        return BenchmarkBlock(block.attempt, block.index, block.reference, tuple(block.samples_ms), block.rss_bytes)
    return _result(message.result) if kind == "result" else None


def count_event(message: agent_pb2.BenchmarkEvent) -> InstructionCount | InstructionResult | None:
    """A count or the result, in instructions; None and raises as `benchmark_event`."""
    kind = message.WhichOneof("event")
    if kind == "count":
        return _count(message.count)
    return _counted(message.result) if kind == "result" else None


def profile_answer(reply: agent_pb2.ProfileReply) -> ProfileAnswer:
    """Raises `RunnerError` where a figure is missing, or is no number."""
    calls = _bounded("profiled calls", reply.calls, _MAX_CALLS)
    return ProfileAnswer(
        runs=reply.runs,
        threads=reply.threads,
        execute_p50_us=_known("execute_p50_us", reply.execute_p50_us),
        calls=tuple(_call(call) for call in calls),
        evidence=_evidence(reply.evidence),
        etdump=reply.etdump,
    )


def periodic_event(message: agent_pb2.PeriodicEvent) -> PeriodicWindow | PeriodicAnswer | None:
    """A window, or the answer that ends the run; None for an event that a later version added.

    Raises:
        RunnerError: a figure is missing, or is no number.
    """
    kind = message.WhichOneof("event")
    if kind == "window":
        window = message.window
        return PeriodicWindow(
            index=window.index,
            releases=window.releases,
            missed=window.missed,
            skipped=window.skipped,
            response_p50_ms=_duration("a window's median response", window.response_p50_ms),
            response_max_ms=_duration("a window's longest response", window.response_max_ms),
            rss_bytes=window.rss_bytes,
        )
    return _periodic_answer(message.result) if kind == "result" else None


def _periodic_answer(result: agent_pb2.PeriodicResult) -> PeriodicAnswer:
    jitter = _duration("jitter", result.jitter_ms) if result.HasField("jitter_ms") else None
    gap = _duration("the longest gap", result.longest_gap_ms) if result.HasField("longest_gap_ms") else None
    return PeriodicAnswer(
        figures=PeriodicFigures(
            releases=_known("releases", result.releases),
            executed=result.executed,
            skipped=result.skipped,
            missed=result.missed,
            response=_distribution("responses", result.response_ms),
            execute=_distribution("execute times", result.execute_ms),
            lateness=_distribution("lateness", result.lateness_ms),
            jitter_ms=jitter,
            longest_gap_ms=gap,
            memory=_memory_figures(result.memory),
            load_ms=_known("load_ms", result.load_ms),
        ),
        threads=result.threads,
        cpus=_cpus(result.cpus),
        evidence=_evidence(result.evidence),
    )


def _duration(what: str, milliseconds: float) -> float:
    if not math.isfinite(milliseconds) or milliseconds < 0:
        raise RunnerError(
            f"{what} of {milliseconds} ms", expected="a duration", action="update the agent on the device"
        )
    return milliseconds


def _distribution(what: str, message: agent_pb2.Distribution) -> Distribution:
    values = (message.p50, message.p90, message.p95, message.p99, message.max)
    if not all(math.isfinite(value) and value >= 0 for value in values) or message.max <= 0:
        raise RunnerError(
            f"a distribution of {what} with {values}", expected="milliseconds", action="update the agent on the device"
        )
    return Distribution(
        p50=message.p50,
        p90=message.p90,
        p95=message.p95 if message.HasField("p95") else None,
        p99=message.p99 if message.HasField("p99") else None,
        max=message.max,
    )


def _memory_figures(memory: agent_pb2.Memory) -> MemoryFigures:
    return MemoryFigures(
        program_bytes=_known("program_bytes", memory.program_bytes),
        planned_bytes=memory.planned_bytes,  # a program may plan none
        load_rss_bytes=_known("load_rss_bytes", memory.load_rss_bytes),
        peak_rss_bytes=_known("peak_rss_bytes", memory.peak_rss_bytes),
        load_anonymous_bytes=memory.load_anonymous_bytes or None,
    )


def _known(what: str, value: _Figure) -> _Figure:
    """A figure that is never 0 in truth: on the wire 0 is what was not sent."""
    if not math.isfinite(value) or value <= 0:
        raise RunnerError(
            f"the device's result has {what} {value:g}",
            expected="a positive number",
            action="measure again; see the agent's log on the device",
        )
    return value


def _evidence(entries: Sequence[agent_pb2.Evidence]) -> Evidence:
    return {printable(entry.name): _reading(entry) for entry in _bounded("entries of evidence", entries)}


def _cpus(numbers: Sequence[int]) -> tuple[int, ...]:
    return tuple(_bounded("processors", numbers))


def _bounded(what: str, entries: Sequence[_Entry], most: int = _MAX_ENTRIES) -> Sequence[_Entry]:
    if len(entries) > most:
        raise RunnerError(
            f"a result with {len(entries)} {what}", expected=f"at most {most}", action="update the agent on the device"
        )
    return entries


def _options(choice: RunnerChoice) -> agent_pb2.RunnerOptions:
    return agent_pb2.RunnerOptions(
        threads=choice.threads, cpus=choice.cpus, nice=choice.nice, memory_limit_bytes=choice.memory_limit_bytes
    )


def _result(result: agent_pb2.BenchmarkResult) -> BenchmarkResult:
    _check_unit(result, "ms")
    if not result.load_ms:
        raise RunnerError(
            "the result of the benchmark has no load_ms", expected="one", action="update the agent on the device"
        )
    return BenchmarkResult(
        unit=result.unit,
        attempts=tuple(_attempt(attempt) for attempt in _bounded("attempts", result.attempts, MAX_ATTEMPTS)),
        chosen=result.chosen,
        memory=_memory_figures(result.memory),
        loads_ms=tuple(_known("load_ms", value) for value in _bounded("cold loads", result.load_ms)),
        warmup=Warmup(result.warmup.runs, result.warmup.seconds, result.warmup.stable),
        threads=result.threads,
        cpus=_cpus(result.cpus),
        evidence=_evidence(result.evidence),
        dropped_blocks=result.dropped_blocks,
        reference_digest=printable(result.reference_digest),
        undelegated=tuple(map(printable, _bounded("operators outside", result.undelegated))),
    )


def _check_unit(result: agent_pb2.BenchmarkResult, unit: str) -> None:
    if result.unit != unit:
        raise ProtocolError(
            f"a result in {printable(result.unit)!r}", expected=f"{unit!r}", action="update edgectl on this host"
        )


def _counted(result: agent_pb2.BenchmarkResult) -> InstructionResult:
    _check_unit(result, "insn")
    return InstructionResult(
        counts=tuple(_count(count) for count in _bounded("counts", result.counts, MAX_COUNTS)),
        program_bytes=_known("program_bytes", result.memory.program_bytes),
        planned_bytes=result.memory.planned_bytes,
        threads=result.threads,
        evidence=_evidence(result.evidence),
        dropped_counts=result.dropped_blocks,
        undelegated=tuple(map(printable, _bounded("operators outside", result.undelegated))),
    )


def _count(count: agent_pb2.InstructionCount) -> InstructionCount:
    return InstructionCount(count.index, count.short_instructions, count.long_instructions)


def _attempt(attempt: agent_pb2.BenchmarkAttempt) -> Attempt:
    return Attempt(
        candidate=_blocks(attempt.candidate),
        reference=_blocks(attempt.reference),
        reasons=tuple(map(printable, _bounded("reasons", attempt.reasons))),
    )


def _blocks(messages: Sequence[agent_pb2.BlockSamples]) -> Blocks:
    # The reference model has a block more than the candidate.
    return tuple(tuple(block.samples_ms) for block in _bounded("blocks", messages, MAX_BLOCKS + 1))


def _call(message: agent_pb2.ProfileCall) -> ProfiledCall:
    times = (message.p50_us, *(operator.p50_us for operator in message.operators))
    if message.kind not in {"delegate", "kernel"} or not all(math.isfinite(time) and time >= 0 for time in times):
        raise RunnerError(
            f"a profiled call of kind {printable(message.kind)!r} with {min(times)} us",
            expected="a delegate or a kernel, and its time",
            action="update the agent on the device",
        )
    return ProfiledCall(
        index=message.index,
        kind="delegate" if message.kind == "delegate" else "kernel",
        name=printable(message.name),
        p50_us=message.p50_us,
        operators=tuple(
            ProfiledOperator(printable(one.name), one.p50_us)
            for one in _bounded("operators in a call", message.operators, _MAX_CALLS)
        ),
    )


def _reading(entry: agent_pb2.Evidence) -> str | Unavailable:
    if entry.WhichOneof("reading") == "value":
        return printable(entry.value)
    return Unavailable(printable(entry.unavailable) or "not sent")
