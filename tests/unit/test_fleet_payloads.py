# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from edgectl.fleet.payloads import DeviceStatus, parse_payload
from edgectl_protos.errors import ProtocolError
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable, record_to_message
from edgectl_protos.v1 import telemetry_pb2

RECORD = TelemetryRecord(
    "pi4",
    "boot",
    7,
    1,
    2,
    (Metric("agent.rss", "bytes", 5.0), Metric("board.temperature", "celsius", Unavailable("no sensor"))),
)


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
