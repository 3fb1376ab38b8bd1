# SPDX-License-Identifier: Apache-2.0
"""What arrives over MQTT, as values. Protobuf is met only here; anything may have been published by anyone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgectl_protos.errors import EdgectlError, ProtocolError
from edgectl_protos.metrics import TelemetryRecord, record_from_message
from edgectl_protos.topics import Channel, Topic, check_name, parse_topic

if TYPE_CHECKING:
    from edgectl_protos.v1 import telemetry_pb2

MAX_PAYLOAD_BYTES = 256 << 10
MAX_BLOCK_SAMPLES = 4096
_MAX_ATTEMPTS = 1_000
_MAX_BLOCKS = 1_000_000
_MAX_RUNS = 1 << 24
_MAX_BYTES = 1 << 50
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Birth message (online) or last will (not online) of a device's agent; `wall_ns` is the board's clock."""

    device: str
    online: bool
    boot_id: str
    agent_version: str
    wall_ns: int


@dataclass(frozen=True, slots=True)
class MeasurementBlock:
    """One block of a measurement under way, of `model` or of the `reference` model beside it.

    Attempts and blocks count from 0. `samples_ms` are the first of `runs`; `rss_bytes` is what the block's process
    held after it, None where the board did not tell.
    """

    device: str
    boot_id: str
    model: str
    digest: str
    attempt: int
    index: int
    reference: bool
    runs: int
    samples_ms: tuple[float, ...]
    p50_ms: float
    rss_bytes: int | None
    wall_ns: int


Payload = TelemetryRecord | DeviceStatus | MeasurementBlock


def parse_payload(topic: str, payload: bytes) -> tuple[Topic, Payload]:
    """The message published on `topic`.

    Raises:
        ProtocolError: the topic is not ours, or the payload is too long, damaged or another device's.
    """
    parsed = parse_topic(topic)
    if parsed is None:
        raise ProtocolError(
            f"topic {topic[:120]!r}", expected="edgectl/v1/DEVICE/status, .../telemetry or .../measurement"
        )
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError(f"{len(payload)} bytes on {topic}", expected=f"at most {MAX_PAYLOAD_BYTES}")
    value = _READERS[parsed.channel](topic, payload)
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


def _block(topic: str, payload: bytes) -> MeasurementBlock:
    from edgectl_protos.v1 import telemetry_pb2
    from google.protobuf.message import DecodeError

    try:
        message = telemetry_pb2.MeasurementBlock.FromString(payload)
    except DecodeError as error:
        raise _undecodable(topic, payload) from error
    _check_block(message, topic)
    return MeasurementBlock(
        device=message.device,
        boot_id=message.boot_id,
        model=message.model,
        digest=message.digest,
        attempt=message.attempt,
        index=message.index,
        reference=message.reference,
        runs=message.runs,
        samples_ms=tuple(message.samples_ms),
        p50_ms=message.p50_ms,
        rss_bytes=message.rss_bytes or None,
        wall_ns=message.wall_ns,
    )


def _check_block(message: telemetry_pb2.MeasurementBlock, topic: str) -> None:
    bounded = (
        ("attempt", message.attempt, 0, _MAX_ATTEMPTS),
        ("index", message.index, 0, _MAX_BLOCKS),
        ("runs", message.runs, 1, _MAX_RUNS),
        ("samples", len(message.samples_ms), 1, min(MAX_BLOCK_SAMPLES, message.runs)),
        ("rss_bytes", message.rss_bytes, 0, _MAX_BYTES),
    )
    for what, value, least, most in bounded:
        if not least <= value <= most:
            raise ProtocolError(f"a block with {what} {value} on {topic}", expected=f"{least} to {most}")
    for duration in (message.p50_ms, *message.samples_ms):
        if not (math.isfinite(duration) and duration > 0):
            raise ProtocolError(f"a block with {duration} ms on {topic}", expected="a positive number")
    try:
        check_name(message.model, what="model")
    except EdgectlError as error:
        raise ProtocolError(f"a block of {error.seen} on {topic}", expected=error.expected) from error
    if not _DIGEST.fullmatch(message.digest):
        raise ProtocolError(f"a block of digest {message.digest[:80]!r} on {topic}", expected="64 hexadecimal digits")


_READERS: dict[Channel, Callable[[str, bytes], Payload]] = {
    Channel.STATUS: _status,
    Channel.TELEMETRY: _record,
    Channel.MEASUREMENT: _block,
}


def _undecodable(topic: str, payload: bytes) -> ProtocolError:
    return ProtocolError(f"{len(payload)} bytes on {topic} that cannot be decoded", expected="an edgectl.v1 message")
