# SPDX-License-Identifier: Apache-2.0
"""The processors that boards have, under the name each tool gives them."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl_protos.errors import UsageError


@dataclass(frozen=True, slots=True)
class Architecture:
    """`name` is what `uname -m` prints, `machine` what readelf prints, `triplet` begins the compiler's name."""

    name: str
    debian: str
    triplet: str
    machine: str


ARCHITECTURES = {
    known.name: known
    for known in (
        Architecture(name="aarch64", debian="arm64", triplet="aarch64-linux-gnu", machine="AArch64"),
        Architecture(
            name="x86_64", debian="amd64", triplet="x86_64-linux-gnu", machine="Advanced Micro Devices X86-64"
        ),
    )
}


def architecture_named(name: str) -> Architecture:
    """The architecture with that name.

    Raises:
        UsageError: there is none.
    """
    if name not in ARCHITECTURES:
        raise UsageError(
            f"architecture {name!r}",
            expected=" or ".join(ARCHITECTURES),
            action="give ARCH=aarch64; ExecuTorch is not published for 32-bit Arm",
        )
    return ARCHITECTURES[name]
