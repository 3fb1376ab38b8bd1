# SPDX-License-Identifier: Apache-2.0
"""What `edgectl device add` does: a certificate where the device is not on this machine, then an inventory entry."""

from __future__ import annotations

from edgectl_protos.address import parse_address

from edgectl.config import Paths
from edgectl.fleet.authority import Authority, Clock
from edgectl.fleet.inventory import Device, inventory_of


def add_device(name: str, address: str, *, paths: Paths, clock: Clock, architecture: str | None = None) -> Device:
    """Add a device; `identity` of the result is the folder to copy to the board, None for a loopback address.

    Raises:
        UsageError: name or address is invalid, the device is known already, or a file cannot be written.
        AuthenticationError: the lab's certificate authority is damaged.
        StateError: half of it is lost.
    """
    device = Device(name=name, address=address, architecture=architecture)
    inventory = inventory_of(paths)
    inventory.check_new(name)
    if not parse_address(device.address).loopback:
        authority = Authority.open_or_create(paths.config / "authority", clock)
        identity = authority.issue_device(name, paths.config / "identities")
        device = Device(name=name, address=device.address, architecture=architecture, identity=identity)
    inventory.add(device)
    return device
