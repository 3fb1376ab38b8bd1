# SPDX-License-Identifier: Apache-2.0
"""What `edgectl device add` does: a certificate where the device is not on this machine, then an inventory entry."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgectl_protos.address import parse_address

from edgectl.config import Paths
from edgectl.fleet.authority import Authority, Clock
from edgectl.fleet.inventory import Device, inventory_of


def add_device(
    name: str,
    address: str,
    *,
    paths: Paths,
    clock: Clock,
    architecture: str | None = None,
    always_certified: bool = False,
) -> Device:
    """Add a device; `identity` of the result is the folder to copy to the board, None for a loopback address.

    With `always_certified` a loopback address gets one too: behind it is another machine, reached by a forwarded port.

    Raises:
        UsageError: name or address is invalid, the device is known already, or a file cannot be written.
        AuthenticationError: the lab's certificate authority is damaged.
        StateError: half of it is lost.
    """
    device = Device(name=name, address=address, architecture=architecture)
    inventory = inventory_of(paths)
    inventory.check_new(name)
    if always_certified or not parse_address(device.address).loopback:
        authority = Authority.open_or_create(paths.config / "authority", clock)
        identity = authority.issue_device(name, identities_folder(paths))
        device = Device(name=name, address=device.address, architecture=architecture, identity=identity)
    inventory.add(device)
    return device


def discard_device(name: str, *, paths: Paths) -> None:
    """Forget a device and its certificate; what is gone already is no error.

    Raises:
        UsageError: the inventory is damaged or cannot be written.
    """
    inventory = inventory_of(paths)
    if any(device.name == name for device in inventory.devices()):
        inventory.remove(name)
    shutil.rmtree(identities_folder(paths) / name, ignore_errors=True)


def identities_folder(paths: Paths) -> Path:
    """Where the folders that are copied to boards are."""
    return paths.config / "identities"
