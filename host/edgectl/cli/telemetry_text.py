# SPDX-License-Identifier: Apache-2.0
"""Telemetry as a line for people and as a document for programs. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable

from edgectl.cli.text import milliseconds_text, size_text
from edgectl.fleet.payloads import DeviceStatus, MeasurementBlock

if TYPE_CHECKING:
    from edgectl.fleet.telemetry_tail import TailEvent

_UNIT_SIGNS = {"percent": " %", "celsius": " C", "count": "", "us": " us"}


def event_document(event: TailEvent) -> dict[str, Any]:
    """`event` with its kind: `record`, `status`, `block` or `malformed`.

    An unavailable reading has no value, and says why.
    """
    if isinstance(event, TelemetryRecord):
        return {
            "kind": "record",
            "device": event.device,
            "boot_id": event.boot_id,
            "sequence": event.sequence,
            "wall_ns": event.wall_ns,
            "monotonic_ns": event.monotonic_ns,
            "metrics": [_metric_document(metric) for metric in event.metrics],
        }
    if isinstance(event, DeviceStatus):
        return {
            "kind": "status",
            "device": event.device,
            "online": event.online,
            "boot_id": event.boot_id,
            "agent_version": event.agent_version,
            "wall_ns": event.wall_ns,
        }
    if isinstance(event, MeasurementBlock):
        return _block_document(event)
    return {"kind": "malformed", "reason": event.reason, "count": event.count}


def event_text(event: TailEvent) -> str:
    """One line: when, who, what; readings that are unavailable come last, by name."""
    if isinstance(event, TelemetryRecord):
        given = [metric for metric in event.metrics if not isinstance(metric.reading, Unavailable)]
        missing = [_name(metric) for metric in event.metrics if isinstance(metric.reading, Unavailable)]
        readings = ", ".join(f"{_name(metric)} {_reading(metric)}" for metric in given)
        unavailable = f"; unavailable: {', '.join(missing)}" if missing else ""
        return f"{_moment(event.wall_ns)} {event.device} #{event.sequence} {readings}{unavailable}"
    if isinstance(event, DeviceStatus):
        state = f"online, agent {event.agent_version}" if event.online else "offline"
        return f"{_moment(event.wall_ns)} {event.device} {state}"
    if isinstance(event, MeasurementBlock):
        return _block_text(event)
    return f"left out a message ({event.count} so far): {event.reason}"


def _block_document(block: MeasurementBlock) -> dict[str, Any]:
    return {
        "kind": "block",
        "device": block.device,
        "boot_id": block.boot_id,
        "model": block.model,
        "digest": block.digest,
        "attempt": block.attempt,
        "index": block.index,
        "reference": block.reference,
        "runs": block.runs,
        "samples_ms": list(block.samples_ms),
        "p50_ms": block.p50_ms,
        "rss_bytes": block.rss_bytes,
        "wall_ns": block.wall_ns,
    }


def _block_text(block: MeasurementBlock) -> str:
    what = f"{block.model} (reference model)" if block.reference else block.model
    where = f"attempt {block.attempt + 1} block {block.index + 1}"
    memory = f", {size_text(block.rss_bytes)}" if block.rss_bytes is not None else ""
    runs = f"p50 {milliseconds_text(block.p50_ms)} ms over {block.runs} runs"
    return f"{_moment(block.wall_ns)} {block.device} {what} {where}: {runs}{memory}"


def _metric_document(metric: Metric) -> dict[str, Any]:
    reading: dict[str, Any] = (
        {"unavailable": metric.reading.reason} if isinstance(metric.reading, Unavailable) else {"value": metric.reading}
    )
    return {"name": metric.name, "unit": metric.unit, "model": metric.model} | reading


def _name(metric: Metric) -> str:
    return f"{metric.name}[{metric.model}]" if metric.model else metric.name


def _reading(metric: Metric) -> str:
    if isinstance(metric.reading, Unavailable):
        return "unavailable"
    if metric.unit == "bytes":
        return size_text(metric.reading)
    return f"{metric.reading:.6g}{_UNIT_SIGNS.get(metric.unit, f' {metric.unit}')}"


def _moment(wall_ns: int) -> str:
    try:
        moment = dt.datetime.fromtimestamp(wall_ns / 1e9, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return f"@{wall_ns}"  # a board's clock may say anything
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
