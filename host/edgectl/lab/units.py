# SPDX-License-Identifier: Apache-2.0
"""What a device measures an inference in, and that nothing else is asked of it: units never mix."""

from __future__ import annotations

from typing import Literal

from edgectl_protos.errors import UsageError

from edgectl.lab.device_values import DeviceInfo
from edgectl.lab.protocol import COUNTED, AnyProtocol, protocol

Unit = Literal["ms", "insn"]


def own_unit(info: DeviceInfo) -> Unit | None:
    """What a device measures in: milliseconds on a real board, instructions where the runner alone is emulated.

    A whole emulated machine measures in neither.
    """
    if not info.emulator:
        return "ms"
    return "insn" if info.emulator.startswith("qemu-user") else None


def choose_unit(info: DeviceInfo, wanted: Unit | None) -> Unit:
    """The unit to measure in: the device's own, which is the wanted one where one is wanted.

    Raises:
        UsageError: it measures in another unit, or in none.
    """
    own = own_unit(info)
    if own is None:
        raise UsageError(
            f"{info.name} is a machine that {info.emulator} emulates: it has neither times nor instruction counts",
            expected="a board, or one whose runner alone is emulated",
            action="count instructions with --on emulated-pi4 --unit insn, or measure on a real board",
        )
    if wanted is None or wanted == own:
        return own
    if own == "insn":
        raise UsageError(
            f"milliseconds of {info.name}, which {info.emulator} emulates",
            expected="insn: an emulator's milliseconds say nothing of the board",
            action="ask for --unit insn, or measure on a real board",
        )
    raise UsageError(
        f"instruction counts of {info.name}, which is no emulated board",
        expected="ms",
        action="leave --unit out, or count on one such as emulated-pi4",
    )


def protocol_for(unit: Unit, name: str | None, *, default: str) -> AnyProtocol:
    """The protocol called `name`, `default` where it is None; for instructions there is a single one.

    Raises:
        UsageError: there is no such protocol, or one is named that says how to time beside instructions.
    """
    if unit == "ms":
        return protocol(name or default)
    if name is not None:
        raise UsageError(
            f"protocol {name[:80]!r} for instruction counts",
            expected="none: it says how programs are timed",
            action="leave it out",
        )
    return COUNTED
