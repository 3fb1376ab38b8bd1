# SPDX-License-Identifier: Apache-2.0
"""The devices this host knows: one JSON file, replaced as a whole, changed under a lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.address import parse_address
from edgectl_protos.errors import EdgectlError, UsageError
from edgectl_protos.spelling import describe_known
from edgectl_protos.topics import check_name

from edgectl.config import Paths
from edgectl.fleet.private_files import exclusive, make_private_folder, write_private

LOCAL_DEVICE = "local"
"""Reserved: the agent that edgectl starts on this machine by itself."""

EMULATED_PREFIX = "emulated-"
"""Reserved, with the name of a target after it: a board that edgectl emulates on this machine by itself."""

_IS_LOCAL = "is the agent that edgectl starts on this machine"
_IS_EMULATED = "is a board that edgectl emulates on this machine"

SCHEMA_VERSION = 1
_MAX_BYTES = 16 << 20
_FIELDS = ("address", "architecture", "identity")


@dataclass(frozen=True, slots=True)
class Device:
    """A device, where its agent listens, and the folder of its certificate (None: plain text, loopback only)."""

    name: str
    address: str
    architecture: str | None = None
    identity: Path | None = None

    def __post_init__(self) -> None:
        check_name(self.name, what="device name")
        reserved = _reserved(self.name)
        if reserved:
            raise UsageError(
                f"{self.name!r} {reserved}: no device can be added under that name",
                action=f"choose another name, or use --on {self.name.lower()}",
            )
        object.__setattr__(self, "address", str(parse_address(self.address)))


class Inventory:
    """The inventory at `path`, which need not exist yet. Safe to use from several processes at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def devices(self) -> tuple[Device, ...]:
        """Every device, by name.

        Raises:
            UsageError: the file is damaged.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read ({error.strerror})", action="correct its rights") from error
        return parse_inventory(data, source=str(self.path))

    def find(self, name: str) -> Device:
        """The device called `name`.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        known = {device.name: device for device in self.devices()}
        if name not in known:
            raise self._unknown(name, (LOCAL_DEVICE, *known))
        return known[name]

    def check_new(self, name: str) -> None:
        """Refuse a name that `add` would refuse.

        Raises:
            UsageError: as `add`.
        """
        self._check_new(name, self.devices())

    def add(self, device: Device) -> None:
        """Add a device.

        Raises:
            UsageError: a device of that name (in any case of letters) is there already, or the file is damaged.
        """

        def added(devices: tuple[Device, ...]) -> tuple[Device, ...]:
            self._check_new(device.name, devices)
            return (*devices, device)

        self._change(added)

    def remove(self, name: str) -> None:
        """Forget a device; its certificate files stay.

        Raises:
            UsageError: there is none, or the file is damaged.
        """
        reserved = _reserved(name)
        if reserved:
            raise UsageError(
                f"{name!r} {reserved}: it is always there and cannot be removed",
                action="`edgectl device list` shows the devices that can be",
            )

        def removed(devices: tuple[Device, ...]) -> tuple[Device, ...]:
            left = tuple(device for device in devices if device.name != name)
            if len(left) == len(devices):
                raise self._unknown(name, tuple(device.name for device in devices))
            return left

        self._change(removed)

    def _check_new(self, name: str, devices: tuple[Device, ...]) -> None:
        # Certificates compare names regardless of case, so "Pi" could pass for "pi".
        same = [other.name for other in devices if other.name.lower() == name.lower()]
        if same:
            raise UsageError(
                f"a device {same[0]!r} is in {self.path} already",
                expected=f"a name that differs from {same[0]!r} in more than upper and lower case",
                action=f"choose another name, or run `edgectl device remove {same[0]}` first",
            )

    def _unknown(self, name: str, known: tuple[str, ...]) -> UsageError:
        same = next((other for other in known if other.lower() == name.lower()), None)
        return UsageError(
            f"no device {name[:80]!r} in {self.path}",
            expected=describe_known(name, known),
            action=f"did you mean {same!r}?" if same else "`edgectl device list` shows them",
        )

    def _change(self, change: Callable[[tuple[Device, ...]], tuple[Device, ...]]) -> None:
        try:
            make_private_folder(self.path.parent)
            with exclusive(self.path.with_name(f".{self.path.name}.lock")):
                write_private(self.path, serialize_inventory(change(self.devices())))
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written ({error.strerror})", expected="a file of yours", action="correct that"
            ) from error


def _reserved(name: str) -> str:
    """What already goes by that name, in any case of letters; empty for a name that is free to take."""
    lowered = name.lower()
    if lowered == LOCAL_DEVICE:
        return _IS_LOCAL
    return _IS_EMULATED if lowered.startswith(EMULATED_PREFIX) else ""


def inventory_of(paths: Paths) -> Inventory:
    """The user's inventory."""
    return Inventory(paths.config / "devices.json")


def serialize_inventory(devices: tuple[Device, ...]) -> bytes:
    """The file's bytes; the same devices give the same bytes."""
    entries = {
        device.name: {
            "address": device.address,
            "architecture": device.architecture,
            "identity": None if device.identity is None else str(device.identity),
        }
        for device in devices
    }
    return json.dumps({"version": SCHEMA_VERSION, "devices": entries}, indent=2, sort_keys=True).encode() + b"\n"


def parse_inventory(data: bytes, *, source: str) -> tuple[Device, ...]:
    """The devices in `data`, by name.

    Raises:
        UsageError: it is no inventory; the message names `source` and the place.
    """
    if len(data) > _MAX_BYTES:
        raise _damaged(source, f"more than {_MAX_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(source, f"no JSON ({error})") from error
    if not isinstance(document, dict) or document.get("version") != SCHEMA_VERSION:
        raise _damaged(source, f"no inventory of version {SCHEMA_VERSION}")
    entries = document.get("devices")
    if not isinstance(entries, dict):
        raise _damaged(source, "no object 'devices'")
    return tuple(_device(name, entry, source) for name, entry in sorted(entries.items()))


def _device(name: str, entry: Any, source: str) -> Device:
    if not isinstance(entry, dict):
        raise _damaged(source, f"device {name[:80]!r} is no object")
    for key, value in entry.items():
        if key not in _FIELDS:
            raise _damaged(source, f"device {name[:80]!r} has a field {key[:80]!r}, not {describe_known(key, _FIELDS)}")
        if not isinstance(value, str) and (value is not None or key == "address"):
            raise _damaged(source, f"device {name[:80]!r}: {key} is no text")
    identity = entry.get("identity")
    try:
        return Device(
            name=name,
            address=entry.get("address", ""),
            architecture=entry.get("architecture"),
            identity=None if identity is None else Path(identity),
        )
    except EdgectlError as error:
        raise _damaged(source, f"device {name[:80]!r}: {error.seen}") from error


def _damaged(source: str, seen: str) -> UsageError:
    return UsageError(
        f"the device inventory {source} is damaged: {seen}",
        expected="the file as `edgectl device add` wrote it",
        action="repair it, or move it away and add the devices again",
    )
