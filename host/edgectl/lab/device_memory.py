# SPDX-License-Identifier: Apache-2.0
"""Whether a bundle's program fits a device's memory, before anything is sent. Pure."""

from __future__ import annotations

from edgectl_protos.errors import IncompatibleBundleError
from edgectl_protos.manifest import Manifest

from edgectl.lab.device_values import DeviceInfo

SYSTEM_BYTES = 224 << 20
"""What kernel, system and agent hold of a board: 188 MiB and 36 MiB, as targets/pi-zero-2w.toml has it."""

_MEBIBYTE = 1 << 20


def check_memory(manifest: Manifest, device: DeviceInfo) -> None:
    """Refuse a program that takes more than the device's memory less its system's share.

    A bundle without an estimate passes, and so does one for a device that does not tell its memory.

    Raises:
        IncompatibleBundleError: it will not fit.
    """
    needed, available = manifest.requirements.memory_bytes, device.memory_bytes - SYSTEM_BYTES
    if needed is None or not device.memory_bytes or needed <= available:
        return
    raise IncompatibleBundleError(
        f"{manifest.name} takes {needed / _MEBIBYTE:,.0f} MiB at its peak (estimated when it was lowered)",
        expected=f"at most {max(0, available) / _MEBIBYTE:,.0f} MiB, which {device.name} has for a program: "
        f"{device.memory_bytes / _MEBIBYTE:,.0f} MiB less {SYSTEM_BYTES / _MEBIBYTE:,.0f} for its system and agent",
        action="quantize or prune the model, or choose a device with more memory",
    )
