# SPDX-License-Identifier: Apache-2.0
"""What a device measured, put together with what it says of itself: figures with their provenance."""

from __future__ import annotations

from typing import Any

from edgectl_protos.errors import RunnerError
from edgectl_protos.metrics import Unavailable

import edgectl
from edgectl.lab.device_values import (
    BenchmarkResult,
    DeviceInfo,
    Evidence,
    InstructionCount,
    InstructionResult,
    PeriodicAnswer,
    ProfileAnswer,
)
from edgectl.lab.measurement import Attempt, Measurement, MemoryFigures, summarize
from edgectl.lab.periodic import PeriodicLoad, PeriodicRun
from edgectl.lab.profile import Profile
from edgectl.lab.protocol import InstructionProtocol, MeasurementProtocol
from edgectl.lab.runner_choice import RunnerChoice


def benchmark_measurement(
    result: BenchmarkResult, info: DeviceInfo, protocol: MeasurementProtocol, choice: RunnerChoice
) -> Measurement:
    """Raises `RunnerError` where the samples cannot be used."""
    provenance = _provenance(info, choice, result.evidence, threads=result.threads, cpus=result.cpus) | {
        "protocol": protocol.document(),
        "warmup": {"runs": result.warmup.runs, "seconds": result.warmup.seconds, "stable": result.warmup.stable},
        "undelegated": list(result.undelegated),
        "dropped_blocks": result.dropped_blocks,
    }
    return summarize(
        result.attempts,
        result.chosen,
        memory=result.memory,
        loads_ms=result.loads_ms,
        device=info.name,
        bundle_digest=_digest_of(result.evidence),
        protocol=protocol.name,
        provenance=provenance,
        reference_digest=result.reference_digest,
        unit=result.unit,
    )


def counted_measurement(
    result: InstructionResult, info: DeviceInfo, protocol: InstructionProtocol, choice: RunnerChoice
) -> Measurement:
    """One sample for each count; where they are not all alike the quality is degraded, and the reason says how far.

    Raises:
        RunnerError: there are not as many counts as were asked for, or one that no program can have.
    """
    if len(result.counts) != protocol.counts:
        raise _unusable(f"{len(result.counts)} counts of instructions", f"{protocol.counts}")
    samples = tuple(instructions_per_inference(count, protocol) for count in result.counts)
    low, high = min(samples), max(samples)
    reasons = () if low == high else (f"the counts are not alike: {low:,.1f} to {high:,.1f} instructions",)
    provenance = _provenance(info, choice, result.evidence, threads=result.threads) | {
        "protocol": protocol.document(),
        "counts": [[count.short_instructions, count.long_instructions] for count in result.counts],
        "undelegated": list(result.undelegated),
        "dropped_blocks": result.dropped_counts,
    }
    return summarize(
        (Attempt(candidate=tuple((sample,) for sample in samples), reference=(), reasons=reasons),),
        0,
        memory=MemoryFigures(result.program_bytes, result.planned_bytes, load_rss_bytes=None, peak_rss_bytes=None),
        loads_ms=(),
        device=info.name,
        bundle_digest=_digest_of(result.evidence),
        protocol=protocol.name,
        provenance=provenance,
        unit=protocol.unit,
    )


def instructions_per_inference(count: InstructionCount, protocol: InstructionProtocol) -> float:
    """What the long process executed more than the short one, over the difference of their runs.

    Raises:
        RunnerError: it executed no more.
    """
    more = count.long_instructions - count.short_instructions
    if more <= 0 or count.short_instructions <= 0:
        raise _unusable(
            f"{count.short_instructions} instructions in {protocol.short_runs} runs and {count.long_instructions} in "
            f"{protocol.long_runs}",
            "more in the longer process",
        )
    return more / (protocol.long_runs - protocol.short_runs)


def _unusable(seen: str, expected: str) -> RunnerError:
    return RunnerError(seen, expected=expected, action="count again; see the agent's log on the device")


def profile_of(answer: ProfileAnswer, info: DeviceInfo, choice: RunnerChoice) -> Profile:
    return Profile(
        runs=answer.runs,
        threads=answer.threads,
        execute_p50_us=answer.execute_p50_us,
        calls=answer.calls,
        device=info.name,
        bundle_digest=_digest_of(answer.evidence),
        provenance=_provenance(info, choice, answer.evidence, threads=answer.threads),
        etdump=answer.etdump,
    )


def periodic_run(answer: PeriodicAnswer, info: DeviceInfo, load: PeriodicLoad, choice: RunnerChoice) -> PeriodicRun:
    return PeriodicRun(
        load=load,
        figures=answer.figures,
        device=info.name,
        bundle_digest=_digest_of(answer.evidence),
        provenance=_provenance(info, choice, answer.evidence, threads=answer.threads, cpus=answer.cpus),
    )


def _provenance(
    info: DeviceInfo, choice: RunnerChoice, evidence: Evidence, *, threads: int, cpus: tuple[int, ...] = ()
) -> dict[str, Any]:
    """What the figures depend on, as JSON; a reading that the board cannot give is an object that says why."""
    return {
        "host_version": edgectl.__version__,
        "device": info.document(),
        "runner": choice.document(),
        "threads": threads,
        "cpus": list(cpus) or None,
        "evidence": {
            name: {"unavailable": reading.reason} if isinstance(reading, Unavailable) else reading
            for name, reading in evidence.items()
        },
    }


def _digest_of(evidence: Evidence) -> str:
    told = evidence.get("bundle_digest", "")
    return "" if isinstance(told, Unavailable) else told
