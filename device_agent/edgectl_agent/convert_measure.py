# SPDX-License-Identifier: Apache-2.0
"""Between the messages of the gRPC contract and what the instrument measures."""

from __future__ import annotations

from collections.abc import Iterable

from edgectl_protos.errors import UsageError
from edgectl_protos.metrics import Unavailable
from edgectl_protos.v1 import agent_pb2

from edgectl_agent.measure.acceptance import Attempt
from edgectl_agent.measure.evidence import Evidence
from edgectl_agent.measure.instructions import InstructionCount, InstructionProtocol
from edgectl_agent.measure.instrument import CountedMeasurement, Job, Measurement, PeriodicResult, ProfileResult
from edgectl_agent.measure.protocol import MeasurementProtocol
from edgectl_agent.measure.reference import REFERENCE_DIGEST
from edgectl_agent.measure.session import Measured, MeasuredBlock
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.periodic import Distribution, PeriodicLoad, PeriodicWindow
from edgectl_agent.runner.profile import ProfiledCall

_MOST_PROFILE_RUNS = 1_000


def measurement_protocol(request: agent_pb2.BenchmarkRequest) -> MeasurementProtocol:
    """Raises `UsageError` where a figure is out of range."""
    return MeasurementProtocol(
        name=request.protocol,
        warmup_seconds=request.warmup_seconds,
        warmup_runs=request.warmup_runs,
        blocks=request.blocks,
        block_runs=request.block_runs,
        block_seconds=request.block_seconds,
        max_variation=request.max_variation,
        max_drift=request.max_drift,
        attempts=request.attempts,
        cooldown_seconds=request.cooldown_seconds,
        time_limit_seconds=request.time_limit_seconds,
    )


def instruction_protocol(request: agent_pb2.BenchmarkRequest) -> InstructionProtocol | None:
    """How instructions are to be counted; None where the request is for milliseconds.

    Raises:
        UsageError: a figure is out of range.
    """
    if not request.HasField("instructions"):
        return None
    wanted = request.instructions
    return InstructionProtocol(
        name=request.protocol,
        counts=wanted.counts,
        short_runs=wanted.short_runs,
        long_runs=wanted.long_runs,
        time_limit_seconds=request.time_limit_seconds,
    )


def job(request: agent_pb2.BenchmarkRequest | agent_pb2.ProfileRequest | agent_pb2.PeriodicRequest) -> Job:
    """Raises `UsageError` where an option of the runner is out of range."""
    options = RunnerOptions(
        threads=request.runner.threads,
        cpus=tuple(request.runner.cpus),
        nice=request.runner.nice,
        memory_limit_bytes=request.runner.memory_limit_bytes,
    )
    allowed = not isinstance(request, agent_pb2.ProfileRequest) and request.allow_undelegated
    return Job(request.name, request.digest, options, allow_undelegated=allowed)


def benchmark_event(
    event: MeasuredBlock | Measurement | InstructionCount | CountedMeasurement,
) -> agent_pb2.BenchmarkEvent:
    if isinstance(event, InstructionCount):
        return agent_pb2.BenchmarkEvent(count=_count(event))
    if isinstance(event, CountedMeasurement):
        return agent_pb2.BenchmarkEvent(result=_counted(event))
    if isinstance(event, MeasuredBlock):
        block = agent_pb2.BenchmarkBlock(
            attempt=event.attempt,
            index=event.index,
            reference=event.reference,
            samples_ms=event.samples_ms,
            rss_bytes=event.rss_bytes,
        )
        return agent_pb2.BenchmarkEvent(block=block)
    measured = event.measured
    result = agent_pb2.BenchmarkResult(
        unit=measured.summary.unit,
        attempts=[_attempt(attempt) for attempt in measured.attempts],
        chosen=measured.chosen,
        memory=_memory(measured),
        load_ms=[load.load_ms for load in measured.cold_loads],
        warmup=agent_pb2.Warmup(
            runs=measured.warmup.runs, seconds=measured.warmup.seconds, stable=measured.warmup.stable
        ),
        threads=measured.summary.threads,
        cpus=measured.summary.cpus,
        evidence=_evidence(event.evidence),
        dropped_blocks=event.dropped_blocks,
        reference_digest=REFERENCE_DIGEST if measured.attempts[0].reference else "",
        undelegated=measured.undelegated,
    )
    return agent_pb2.BenchmarkEvent(result=result)


def _counted(event: CountedMeasurement) -> agent_pb2.BenchmarkResult:
    report = event.counted.report
    return agent_pb2.BenchmarkResult(
        unit="insn",
        counts=[_count(count) for count in event.counted.counts],
        memory=agent_pb2.Memory(program_bytes=report.program_bytes, planned_bytes=report.planned_bytes),
        threads=report.threads,
        evidence=_evidence(event.evidence),
        dropped_blocks=event.dropped_counts,
        undelegated=event.counted.undelegated,
    )


def _count(count: InstructionCount) -> agent_pb2.InstructionCount:
    return agent_pb2.InstructionCount(
        index=count.index,
        short_instructions=count.short_instructions,
        long_instructions=count.long_instructions,
    )


def profile_runs(request: agent_pb2.ProfileRequest) -> int:
    """Raises `UsageError` where the number is out of range."""
    if not 1 <= request.runs <= _MOST_PROFILE_RUNS:
        raise UsageError(f"{request.runs} profiled runs", expected=f"1 to {_MOST_PROFILE_RUNS}", action="change it")
    return int(request.runs)


def profile_reply(result: ProfileResult) -> agent_pb2.ProfileReply:
    found = result.profile
    return agent_pb2.ProfileReply(
        runs=found.runs,
        threads=found.threads,
        execute_p50_us=found.execute_p50_us,
        calls=[_call(call) for call in found.calls],
        evidence=_evidence(result.evidence),
        etdump=result.etdump,
    )


def periodic_load(request: agent_pb2.PeriodicRequest) -> PeriodicLoad:
    """Raises `UsageError` where a figure is out of range."""
    return PeriodicLoad(rate_hz=request.rate_hz, seconds=request.seconds, deadline_ms=request.deadline_ms)


def periodic_event(event: PeriodicWindow | PeriodicResult) -> agent_pb2.PeriodicEvent:
    if isinstance(event, PeriodicWindow):
        window = agent_pb2.PeriodicWindow(
            index=event.index,
            releases=event.releases,
            missed=event.missed,
            skipped=event.skipped,
            response_p50_ms=event.response_p50_ms,
            response_max_ms=event.response_max_ms,
            rss_bytes=event.rss_bytes,
        )
        return agent_pb2.PeriodicEvent(window=window)
    report = event.report
    result = agent_pb2.PeriodicResult(
        releases=report.releases,
        executed=report.executed,
        skipped=report.skipped,
        missed=report.missed,
        response_ms=_distribution(report.response),
        execute_ms=_distribution(report.execute),
        lateness_ms=_distribution(report.lateness),
        jitter_ms=report.jitter_ms,
        longest_gap_ms=report.longest_gap_ms,
        memory=agent_pb2.Memory(
            program_bytes=report.program_bytes,
            planned_bytes=report.planned_bytes,
            load_rss_bytes=report.load_rss_bytes,
            peak_rss_bytes=report.peak_rss_bytes,
        ),
        load_ms=report.load_ms,
        threads=report.threads,
        cpus=report.cpus,
        evidence=_evidence(event.evidence),
    )
    return agent_pb2.PeriodicEvent(result=result)


def _attempt(attempt: Attempt) -> agent_pb2.BenchmarkAttempt:
    return agent_pb2.BenchmarkAttempt(
        candidate=[agent_pb2.BlockSamples(samples_ms=block) for block in attempt.candidate],
        reference=[agent_pb2.BlockSamples(samples_ms=block) for block in attempt.reference],
        reasons=attempt.reasons,
    )


def _memory(measured: Measured) -> agent_pb2.Memory:
    return agent_pb2.Memory(
        program_bytes=measured.cold_loads[0].program_bytes,
        planned_bytes=measured.cold_loads[0].planned_bytes,
        load_rss_bytes=measured.load_rss_bytes,
        peak_rss_bytes=measured.peak_rss_bytes,
        load_anonymous_bytes=measured.load_anonymous_bytes,
    )


def _call(call: ProfiledCall) -> agent_pb2.ProfileCall:
    return agent_pb2.ProfileCall(
        index=call.index,
        kind=call.kind,
        name=call.name,
        p50_us=call.p50_us,
        operators=[agent_pb2.ProfileOperator(name=one.name, p50_us=one.p50_us) for one in call.operators],
    )


def _distribution(values: Distribution) -> agent_pb2.Distribution:
    return agent_pb2.Distribution(p50=values.p50, p90=values.p90, p95=values.p95, p99=values.p99, max=values.max)


def _evidence(entries: Iterable[Evidence]) -> list[agent_pb2.Evidence]:
    return [
        agent_pb2.Evidence(name=entry.name, unavailable=entry.reading.reason)
        if isinstance(entry.reading, Unavailable)
        else agent_pb2.Evidence(name=entry.name, value=entry.reading)
        for entry in entries
    ]
