# SPDX-License-Identifier: Apache-2.0
"""The demo's listener keeps what arrives on each channel, and outlives a channel that fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from edgectl.demo.witness import witness
from edgectl_protos.errors import UnreachableError
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable


def record(sequence: int, *metrics: Metric) -> TelemetryRecord:
    return TelemetryRecord("board", "boot", sequence, 0, sequence * 10**9, metrics)


def broken(stop: threading.Event) -> Iterator[TelemetryRecord]:
    yield record(1)
    assert not stop.is_set()
    raise UnreachableError("the broker went away")


def test_records_are_kept_by_channel_and_a_failed_channel_says_why() -> None:
    arrived = threading.Event()

    def whole(stop: threading.Event) -> Iterator[TelemetryRecord]:
        yield record(1)
        yield record(2)
        arrived.set()
        stop.wait(5)

    with witness({"grpc": whole, "mqtt": broken}) as heard:
        assert arrived.wait(5)
    assert [entry.sequence for entry in heard.channels["grpc"].records] == [1, 2]
    assert heard.channels["grpc"].failure == ""
    assert len(heard.channels["mqtt"].records) == 1
    assert "the broker went away" in heard.channels["mqtt"].failure


def test_a_metric_that_was_ever_available_is_not_reported_as_missing() -> None:
    first = record(
        1,
        Metric("inference.latency.p50", "us", Unavailable("no inference yet")),
        Metric("board.temperature", "celsius", Unavailable("no sensor")),
    )
    second = record(2, Metric("inference.latency.p50", "us", 12.5))

    def source(stop: threading.Event) -> Iterator[TelemetryRecord]:
        yield first
        yield second
        done.set()
        stop.wait(5)

    done = threading.Event()
    with witness({"grpc": source}) as heard:
        assert done.wait(5)
    assert heard.never_available(channel="grpc") == {"board.temperature": "no sensor"}
    assert heard.series("inference.latency.p50", channel="grpc") == ((1.0, 12.5),)
