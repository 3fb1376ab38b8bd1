# SPDX-License-Identifier: Apache-2.0
"""What a device measured, put together with what it says of itself: figures with their provenance."""

from __future__ import annotations

from typing import Any

from edgectl_protos.metrics import Unavailable
from edgectl_protos.v1 import agent_pb2

import edgectl
from edgectl.lab import convert_measure
from edgectl.lab.device_values import BenchmarkResult, DeviceInfo, Evidence
from edgectl.lab.measurement import Measurement, summarize
from edgectl.lab.periodic import PeriodicLoad, PeriodicRun
from edgectl.lab.profile import Profile
from edgectl.lab.protocol import MeasurementProtocol
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


def profile_of(reply: agent_pb2.ProfileReply, info: DeviceInfo, choice: RunnerChoice) -> Profile:
    """Raises `RunnerError` where a figure is missing."""
    evidence = convert_measure.evidence(reply.evidence)
    return Profile(
        runs=reply.runs,
        threads=reply.threads,
        execute_p50_us=convert_measure.known("execute_p50_us", reply.execute_p50_us),
        calls=convert_measure.profiled_calls(reply.calls),
        device=info.name,
        bundle_digest=_digest_of(evidence),
        provenance=_provenance(info, choice, evidence, threads=reply.threads),
        etdump=reply.etdump,
    )


def periodic_run(
    result: agent_pb2.PeriodicResult, info: DeviceInfo, load: PeriodicLoad, choice: RunnerChoice
) -> PeriodicRun:
    """Raises `RunnerError` where a figure is missing."""
    evidence = convert_measure.evidence(result.evidence)
    return PeriodicRun(
        load=load,
        releases=convert_measure.known("releases", result.releases),
        executed=result.executed,
        skipped=result.skipped,
        missed=result.missed,
        response=convert_measure.distribution("responses", result.response_ms),
        execute=convert_measure.distribution("execute times", result.execute_ms),
        lateness=convert_measure.distribution("lateness", result.lateness_ms),
        jitter_ms=result.jitter_ms if result.HasField("jitter_ms") else None,
        longest_gap_ms=result.longest_gap_ms if result.HasField("longest_gap_ms") else None,
        memory=convert_measure.memory_figures(result.memory),
        load_ms=convert_measure.known("load_ms", result.load_ms),
        device=info.name,
        bundle_digest=_digest_of(evidence),
        provenance=_provenance(info, choice, evidence, threads=result.threads, cpus=convert_measure.cpus(result.cpus)),
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
