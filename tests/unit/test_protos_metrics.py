# SPDX-License-Identifier: Apache-2.0
"""Telemetry records cross protobuf unchanged; what a device cannot say is said, and never becomes a number."""

from __future__ import annotations

import math

import pytest
from edgectl_protos.metrics import (
    Metric,
    MetricName,
    TelemetryRecord,
    Unavailable,
    record_from_message,
    record_to_message,
)
from edgectl_protos.v1 import telemetry_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
readings = numbers | st.builds(Unavailable, texts.filter(bool))
records = st.builds(
    TelemetryRecord,
    device=texts,
    boot_id=texts,
    sequence=st.integers(0, 2**63 - 1),
    wall_ns=st.integers(0, 2**63 - 1),
    monotonic_ns=st.integers(0, 2**63 - 1),
    metrics=st.lists(st.builds(Metric, texts, texts, readings, texts), max_size=4).map(tuple),
)


def record(*metrics: Metric) -> TelemetryRecord:
    return TelemetryRecord("pi", "boot", 1, 2, 3, metrics)


@given(sent=records)
@settings(deadline=None)
def test_record_is_read_back_as_it_was_sent(sent: TelemetryRecord) -> None:
    data = record_to_message(sent).SerializeToString()
    assert record_from_message(telemetry_pb2.TelemetryRecord.FromString(data)) == sent


def test_metric_without_a_reading_is_unavailable_not_zero() -> None:
    message = telemetry_pb2.TelemetryRecord(device="pi")
    message.metrics.add(name=MetricName.AGENT_PSS, unit="By")
    assert record_from_message(message).reading(MetricName.AGENT_PSS) == Unavailable("not sent")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_reading_that_is_not_finite_is_unavailable(value: float) -> None:
    message = telemetry_pb2.TelemetryRecord(device="pi")
    message.metrics.add(name=MetricName.BOARD_TEMPERATURE, unit="Cel", value=value)
    assert record_from_message(message).reading(MetricName.BOARD_TEMPERATURE) == Unavailable(f"the device sent {value}")


def test_zero_is_a_reading() -> None:
    sent = record(Metric(MetricName.AGENT_CPU, "1", 0.0))
    assert record_from_message(record_to_message(sent)).reading(MetricName.AGENT_CPU) == 0.0


def test_reading_is_found_by_name_and_model() -> None:
    sent = record(Metric("a", "ms", 1.0, "first"), Metric("a", "ms", 2.0, "second"))
    assert sent.reading("a") == 1.0
    assert sent.reading("a", model="second") == 2.0
    assert sent.reading("a", model="third") is None
    assert sent.reading("b") is None
