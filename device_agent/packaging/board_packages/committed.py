# SPDX-License-Identifier: Apache-2.0
"""What is committed about the packages: `board-packages.toml`, read once, then trusted.

A dependency, a library or a kilobyte more on a board is a decision: a build that differs from the file fails.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl_protos.errors import StateError

from board_packages.elf import ElfFacts, Version

COMMITTED = Path(__file__).resolve().parents[1] / "board-packages.toml"

_DECIDE = "if that is what a board shall have, write it into device_agent/packaging/board-packages.toml"


@dataclass(frozen=True, slots=True)
class Sdk:
    """The ExecuTorch release, and the SHA-256 of its wheel for each architecture."""

    version: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class System:
    """A release of Debian that boards run: the highest symbol version of each family that it has."""

    name: str
    versions: Mapping[str, Version]


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most bytes that a finished package may have."""

    wheel: int
    deb: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The whole file; `libraries` and `ceilings` are by architecture, `systems` from the oldest."""

    sdk: Sdk
    requires: tuple[str, ...]
    libraries: Mapping[str, Mapping[str, int]]
    system_libraries: frozenset[str]
    systems: tuple[System, ...]
    ceilings: Mapping[str, Ceilings]


def read_committed(path: Path = COMMITTED) -> Committed:
    """The committed facts."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    sdk = document["executorch"]
    return Committed(
        sdk=Sdk(version=sdk["version"], digests=sdk["sha256"]),
        requires=tuple(document["requires"]),
        libraries=sdk["libraries"],
        system_libraries=frozenset(document["system_libraries"]),
        systems=tuple(_system(row) for row in document["systems"]),
        ceilings={name: Ceilings(**row) for name, row in document["ceilings"].items()},
    )


def check_requires(committed: Committed, requires: Iterable[str]) -> None:
    """Raises StateError where the agent needs another distribution, or another version, than is committed."""
    given = sorted(requires)
    if given != sorted(committed.requires):
        raise StateError(
            f"the agent requires {', '.join(given)}", expected=", ".join(sorted(committed.requires)), action=_DECIDE
        )


def check_libraries(committed: Committed, architecture: str, sizes: Mapping[str, int]) -> None:
    """Raises StateError where a library is new, gone, or of another size than is committed."""
    wanted = committed.libraries[architecture]
    if dict(sizes) != dict(wanted):
        raise StateError(f"libraries {_listed(sizes)}", expected=_listed(wanted), action=_DECIDE)


def check_needed(committed: Committed, architecture: str, files: Mapping[str, ElfFacts]) -> None:
    """Raises StateError where a program or library needs a library that is neither with it nor Debian's."""
    known = committed.system_libraries | set(committed.libraries[architecture])
    for name, facts in files.items():
        unknown = sorted(set(facts.needed) - known)
        if unknown:
            raise StateError(f"{name} needs {', '.join(unknown)}", expected=", ".join(sorted(known)), action=_DECIDE)


def check_size(what: str, size: int, ceiling: int) -> None:
    """Raises StateError where a package has outgrown what is committed."""
    if size > ceiling:
        raise StateError(f"{what} has {size:,} bytes", expected=f"at most {ceiling:,}", action=_DECIDE)


def _system(row: Mapping[str, Any]) -> System:
    versions = {
        family: tuple(int(part) for part in text.split(".")) for family, text in row.items() if family != "name"
    }
    return System(name=row["name"], versions=versions)


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size:,}" for name, size in sorted(sizes.items()))
