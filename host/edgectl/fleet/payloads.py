# SPDX-License-Identifier: Apache-2.0
"""What arrives over MQTT, as values. Protobuf is met only here; anything may have been published by anyone."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl_protos.errors import ProtocolError
from edgectl_protos.metrics import TelemetryRecord, record_from_message
from edgectl_protos.topics import Channel, Topic, parse_topic

MAX_PAYLOAD_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Birth message (online) or last will (not online) of a device's agent; `wall_ns` is the board's clock."""

    device: str
    online: bool
    boot_id: str
    agent_version: str
    wall_ns: int


def parse_payload(topic: str, payload: bytes) -> tuple[Topic, TelemetryRecord | DeviceStatus]:
    """The message published on `topic`.

    Raises:
        ProtocolError: the topic is not ours, or the payload is too long, damaged or another device's.
    """
    parsed = parse_topic(topic)
    if parsed is None:
        raise ProtocolError(f"topic {topic[:120]!r}", expected="edgectl/v1/DEVICE/status or .../telemetry")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError(f"{len(payload)} bytes on {topic}", expected=f"at most {MAX_PAYLOAD_BYTES}")
    value = _status(topic, payload) if parsed.channel is Channel.STATUS else _record(topic, payload)
    if value.device != parsed.device:
        raise ProtocolError(f"a message of {value.device[:80]!r} on {topic}", expected=f"one of {parsed.device!r}")
    return parsed, value


def _status(topic: str, payload: bytes) -> DeviceStatus:
    from edgectl_protos.v1 import telemetry_pb2
    from google.protobuf.message import DecodeError

    try:
        message = telemetry_pb2.DeviceStatus.FromString(payload)
    except DecodeError as error:
        raise _undecodable(topic, payload) from error
    return DeviceStatus(
        device=message.device,
        online=message.online,
        boot_id=message.boot_id,
        agent_version=message.agent_version,
        wall_ns=message.wall_ns,
    )


def _record(topic: str, payload: bytes) -> TelemetryRecord:
    from edgectl_protos.v1 import telemetry_pb2
    from google.protobuf.message import DecodeError

    try:
        return record_from_message(telemetry_pb2.TelemetryRecord.FromString(payload))
    except DecodeError as error:
        raise _undecodable(topic, payload) from error


def _undecodable(topic: str, payload: bytes) -> ProtocolError:
    return ProtocolError(f"{len(payload)} bytes on {topic} that cannot be decoded", expected="an edgectl.v1 message")
