# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from edgectl.fleet.payloads import MAX_BLOCK_SAMPLES, DeviceStatus, MeasurementBlock, parse_payload
from edgectl_protos.errors import ProtocolError
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable, record_to_message
from edgectl_protos.v1 import telemetry_pb2
from hypothesis import example, given
from hypothesis import strategies as st

RECORD = TelemetryRecord(
    "pi4",
    "boot",
    7,
    1,
    2,
    (Metric("agent.rss", "bytes", 5.0), Metric("board.temperature", "celsius", Unavailable("no sensor"))),
)

BLOCK_TOPIC = "edgectl/v1/pi4/measurement"
BLOCK: dict[str, Any] = {
    "device": "pi4",
    "boot_id": "b",
    "model": "cnn",
    "digest": "a" * 64,
    "attempt": 1,
    "index": 4,
    "reference": True,
    "runs": 3,
    "samples_ms": (1.5, 1.25),
    "p50_ms": 1.375,
    "rss_bytes": 9_000_000,
    "wall_ns": 7,
}


def block_payload(**changes: Any) -> bytes:
    return telemetry_pb2.MeasurementBlock(**BLOCK | changes).SerializeToString()


def test_a_record_arrives_whole() -> None:
    topic, value = parse_payload("edgectl/v1/pi4/telemetry", record_to_message(RECORD).SerializeToString())
    assert (str(topic), value) == ("edgectl/v1/pi4/telemetry", RECORD)


def test_birth_and_last_will_become_a_status() -> None:
    for online in (True, False):
        message = telemetry_pb2.DeviceStatus(device="pi4", online=online, boot_id="b", agent_version="1", wall_ns=3)
        _, value = parse_payload("edgectl/v1/pi4/status", message.SerializeToString())
        assert value == DeviceStatus("pi4", online, "b", "1", 3)


def test_another_devices_topic_is_not_believed() -> None:
    with pytest.raises(ProtocolError, match="a message of 'pi4' on edgectl/v1/pi5/telemetry"):
        parse_payload("edgectl/v1/pi5/telemetry", record_to_message(RECORD).SerializeToString())


@pytest.mark.parametrize("topic", ["", "edgectl/v1/pi4/other", "other/pi4/status", "edgectl/v1//status", "a" * 300])
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError, match="topic"):
        parse_payload(topic, b"")


def test_a_block_of_a_measurement_arrives_whole() -> None:
    topic, value = parse_payload(BLOCK_TOPIC, block_payload())
    assert str(topic) == BLOCK_TOPIC
    assert value == MeasurementBlock(**BLOCK)


def test_memory_that_a_board_did_not_tell_is_no_zero() -> None:
    _, value = parse_payload(BLOCK_TOPIC, block_payload(rss_bytes=0))
    assert isinstance(value, MeasurementBlock)
    assert value.rss_bytes is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"samples_ms": (1.0, math.nan)}, "a block with nan ms"),
        ({"samples_ms": (1.0, math.inf)}, "a block with inf ms"),
        ({"samples_ms": (1.0, 0.0)}, "a block with 0.0 ms"),
        ({"samples_ms": (-1.0,)}, "a block with -1.0 ms"),
        ({"p50_ms": 0.0}, "a block with 0.0 ms"),
        ({"p50_ms": math.nan}, "a block with nan ms"),
        ({"samples_ms": ()}, "a block with samples 0 .*; expected 1 to 3"),
        ({"samples_ms": (1.0,) * 4}, "a block with samples 4 .*; expected 1 to 3"),
        (
            {"samples_ms": (1.0,) * (MAX_BLOCK_SAMPLES + 1), "runs": 10_000},
            f"with samples {MAX_BLOCK_SAMPLES + 1} .*; expected 1 to {MAX_BLOCK_SAMPLES}",
        ),
        ({"runs": 0}, "a block with runs 0 "),
        ({"runs": 2**32 - 1}, "a block with runs 4294967295 "),
        ({"attempt": 2**32 - 1}, "a block with attempt 4294967295 "),
        ({"index": 2**32 - 1}, "a block with index 4294967295 "),
        ({"rss_bytes": 2**64 - 1}, "a block with rss_bytes 18446744073709551615 "),
        ({"model": ""}, "a block of model ''"),
        ({"model": "\x1b[31m"}, r"a block of model '\\x1b\[31m'"),
        ({"digest": "A" * 64}, "a block of digest 'AAAA"),
        ({"digest": ""}, "a block of digest ''"),
        ({"device": "pi5"}, "a message of 'pi5' on edgectl/v1/pi4/measurement"),
    ],
)
def test_a_block_whose_values_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        parse_payload(BLOCK_TOPIC, block_payload(**changes))


def test_a_block_cut_short_is_refused() -> None:
    with pytest.raises(ProtocolError, match="cannot be decoded"):
        parse_payload(BLOCK_TOPIC, block_payload()[:-1])


@given(st.binary(max_size=200), st.integers(0, 199))
@example(b"", 0)
def test_noise_on_the_measurement_topic_is_a_block_or_one_clear_error(noise: bytes, cut: int) -> None:
    whole = block_payload()
    for payload in (noise, whole[:cut] + noise[:3] + whole[cut + 3 :]):
        with contextlib.suppress(ProtocolError):
            _, value = parse_payload(BLOCK_TOPIC, payload)
            assert isinstance(value, MeasurementBlock)
            assert value.device == "pi4"
            assert 1 <= len(value.samples_ms) <= value.runs
