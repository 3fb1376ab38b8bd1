# SPDX-License-Identifier: Apache-2.0
"""Telemetry as values: the metrics and the records that carry them. Protobuf is met only in the two conversions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from edgectl_protos.v1 import telemetry_pb2


class MetricName(StrEnum):
    """What an agent reports, with its unit in the record."""

    AGENT_RSS = "agent.rss"
    AGENT_PSS = "agent.pss"
    AGENT_CPU = "agent.cpu"
    RUNNER_STARTS = "runner.starts"
    RUNNER_RSS = "runner.rss"
    RUNNER_ANONYMOUS = "runner.anonymous"
    RUNNER_PEAK_RSS = "runner.peak_rss"
    INFERENCES = "inference.count"
    INFERENCE_P50 = "inference.latency.p50"
    INFERENCE_P95 = "inference.latency.p95"
    INFERENCE_MAX = "inference.latency.max"
    INFERENCE_DROPPED = "inference.latency.dropped"
    BOARD_CPU = "board.cpu"
    BOARD_MEMORY_AVAILABLE = "board.memory.available"
    BOARD_TEMPERATURE = "board.temperature"
    BOARD_THROTTLED = "board.throttled"


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A reading the board cannot give, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One observation; `model` is empty for figures of the agent or the board."""

    name: str
    unit: str
    reading: float | Unavailable
    model: str = ""


@dataclass(frozen=True, slots=True)
class TelemetryRecord:
    """(device, boot id, sequence) names a record for good; both clocks are in nanoseconds."""

    device: str
    boot_id: str
    sequence: int
    wall_ns: int
    monotonic_ns: int
    metrics: tuple[Metric, ...]

    def reading(self, name: str, *, model: str | None = None) -> float | Unavailable | None:
        """The first reading of that name (and model, where given), or None where the record has none."""
        for metric in self.metrics:
            if metric.name == name and model in (None, metric.model):
                return metric.reading
        return None


def record_to_message(record: TelemetryRecord) -> telemetry_pb2.TelemetryRecord:
    message = telemetry_pb2.TelemetryRecord(
        device=record.device,
        boot_id=record.boot_id,
        sequence=record.sequence,
        wall_ns=record.wall_ns,
        monotonic_ns=record.monotonic_ns,
    )
    for metric in record.metrics:
        entry = message.metrics.add(name=metric.name, unit=metric.unit, model=metric.model)
        if isinstance(metric.reading, Unavailable):
            entry.unavailable = metric.reading.reason
        else:
            entry.value = metric.reading
    return message


def record_from_message(message: telemetry_pb2.TelemetryRecord) -> TelemetryRecord:
    return TelemetryRecord(
        device=message.device,
        boot_id=message.boot_id,
        sequence=message.sequence,
        wall_ns=message.wall_ns,
        monotonic_ns=message.monotonic_ns,
        metrics=tuple(_metric_from_message(entry) for entry in message.metrics),
    )


def _metric_from_message(entry: telemetry_pb2.Metric) -> Metric:
    reading: float | Unavailable
    if entry.WhichOneof("reading") != "value":
        reading = Unavailable(entry.unavailable or "not sent")
    elif math.isfinite(entry.value):
        reading = entry.value
    else:
        reading = Unavailable(f"the device sent {entry.value}")
    return Metric(name=entry.name, unit=entry.unit, reading=reading, model=entry.model)
