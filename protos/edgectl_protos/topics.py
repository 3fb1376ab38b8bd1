# SPDX-License-Identifier: Apache-2.0
"""MQTT topics in one place.

Payloads: `DeviceStatus` (status, retained), `TelemetryRecord` (telemetry) and `MeasurementBlock` (measurement).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from edgectl_protos.errors import UsageError

_ROOT = "edgectl/v1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Channel(StrEnum):
    """The last level of a topic."""

    STATUS = "status"
    TELEMETRY = "telemetry"
    MEASUREMENT = "measurement"


@dataclass(frozen=True, slots=True)
class Topic:
    """`edgectl/v1/DEVICE/CHANNEL`."""

    device: str
    channel: Channel

    def __str__(self) -> str:
        return f"{_ROOT}/{self.device}/{self.channel}"


def check_name(name: str, *, what: str) -> str:
    """Return `name` when it can stand in a topic, a file name and a certificate.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} {name[:80]!r}",
            expected="1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
            action="choose another name",
        )
    return name


def parse_topic(text: str) -> Topic | None:
    """The topic, or None where `text` is not one of ours."""
    prefix, _, rest = text.partition(f"{_ROOT}/")
    device, _, channel = rest.partition("/")
    if prefix or not _NAME.fullmatch(device) or channel not in list(Channel):
        return None
    return Topic(device, Channel(channel))


def subscription(channel: Channel, *, device: str | None = None) -> str:
    """The filter for one device's channel, or for every device's.

    Raises:
        UsageError: `device` is no name, and might be a filter itself.
    """
    level = "+" if device is None else check_name(device, what="device")
    return f"{_ROOT}/{level}/{channel}"
