# SPDX-License-Identifier: Apache-2.0
"""What a device measured, put together with what it says of itself: figures with their provenance."""

from __future__ import annotations

from typing import Any

from edgectl_protos.metrics import Unavailable

import edgectl
from edgectl.lab.device_values import BenchmarkResult, DeviceInfo, Evidence, PeriodicAnswer, ProfileAnswer
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
