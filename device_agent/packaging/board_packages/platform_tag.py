# SPDX-License-Identifier: Apache-2.0
"""Which systems a wheel's programs run on, as a platform tag: from the symbol versions they need, not from a wish."""

from __future__ import annotations

from collections.abc import Iterable

from edgectl_protos.errors import StateError

from board_packages.architecture import Architecture
from board_packages.committed import System
from board_packages.elf import ElfFacts


def platform_tag(architecture: Architecture, files: Iterable[ElfFacts], systems: Iterable[System]) -> str:
    """The tag of the oldest glibc all `files` run with: "manylinux_2_34_aarch64".

    A tag speaks of glibc alone. Where libstdc++ or another library has to be newer than the oldest of `systems` has,
    the tag is that of the first system that has it, so that pip refuses the wheel on those that would not load it.

    Raises:
        StateError: one is for another processor, or none of `systems` has what they need.
    """
    needed: dict[str, tuple[int, ...]] = {}
    for facts in files:
        if facts.machine != architecture.machine:
            raise StateError(f"a file for {facts.machine}", expected=architecture.machine)
        for family, version in facts.versions.items():
            needed[family] = max(version, needed.get(family, ()))
    glibc = needed.get("GLIBC", (2, 17))
    for index, system in enumerate(systems):
        if all(version <= system.versions.get(family, ()) for family, version in needed.items()):
            tagged = system.versions["GLIBC"] if index else glibc
            return f"manylinux_{tagged[0]}_{tagged[1]}_{architecture.name}"
    shown = ", ".join(f"{family}_{'.'.join(map(str, version))}" for family, version in sorted(needed.items()))
    raise StateError(
        f"programs that need {shown}",
        expected=f"what {' or '.join(system.name for system in systems)} has",
        action="build with the compiler of one of them",
    )
