# SPDX-License-Identifier: Apache-2.0
"""Names of devices, as their certificates carry them."""

from __future__ import annotations

from edgectl_protos.topics import check_name


def device_server_name(device: str) -> str:
    """The name that a device's certificate must carry.

    Raises:
        UsageError: `device` is no valid name.
    """
    return f"{check_name(device, what='device name')}.device.edgectl"
