# SPDX-License-Identifier: Apache-2.0
"""Which systems programs run on: from the symbol versions they need, not from a wish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgectl_protos.errors import StateError

from board_packages.architecture import Architecture
from board_packages.committed import System
from board_packages.elf import ElfFacts, Version


def needed_versions(architecture: Architecture, files: Iterable[ElfFacts]) -> Mapping[str, Version]:
    """The highest version of each family of symbols that any of `files` needs.

    Raises:
        StateError: one is for another processor.
    """
    needed: dict[str, Version] = {"GLIBC": (2, 17)}
    for facts in files:
        if facts.machine != architecture.machine:
            raise StateError(f"a file for {facts.machine}", expected=architecture.machine)
        for family, version in facts.versions.items():
            needed[family] = max(version, needed.get(family, ()))
    return needed


def oldest_system(needed: Mapping[str, Version], systems: Iterable[System]) -> System:
    """The first of `systems` that has what is needed.

    Raises:
        StateError: none has.
    """
    tried = []
    for system in systems:
        if all(version <= system.versions.get(family, ()) for family, version in needed.items()):
            return system
        tried.append(system.name)
    shown = ", ".join(f"{family}_{'.'.join(map(str, version))}" for family, version in sorted(needed.items()))
    raise StateError(
        f"programs that need {shown}",
        expected=f"what {' or '.join(tried)} has",
        action="build with the compiler of one of them",
    )


def platform_tag(architecture: Architecture, needed: Mapping[str, Version], systems: Sequence[System]) -> str:
    """The wheel's platform tag, such as "manylinux_2_34_aarch64": the oldest glibc that will do.

    A tag speaks of glibc alone. Where libstdc++ or another library has to be newer than the oldest of `systems` has,
    the tag is that of the first system that has it, so that pip refuses the wheel on those that would not load it.

    Raises:
        StateError: none of `systems` has what is needed.
    """
    system = oldest_system(needed, systems)
    glibc = needed["GLIBC"] if system is systems[0] else system.versions["GLIBC"]
    return f"manylinux_{glibc[0]}_{glibc[1]}_{architecture.name}"
