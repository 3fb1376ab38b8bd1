# SPDX-License-Identifier: Apache-2.0
"""What is committed about the packages: `board-packages.toml`, read once, then trusted.

A dependency, a library or a kilobyte more on a board is a decision: a build that differs from the file fails.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMITTED = Path(__file__).resolve().parents[1] / "board-packages.toml"


@dataclass(frozen=True, slots=True)
class Sdk:
    """The ExecuTorch release, and the SHA-256 of its wheel for each architecture."""

    version: str
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Committed:
    """The whole file."""

    sdk: Sdk
    libraries: tuple[str, ...]


def read_committed(path: Path = COMMITTED) -> Committed:
    """The committed facts."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    sdk = document["executorch"]
    return Committed(
        sdk=Sdk(version=sdk["version"], digests=sdk["sha256"]),
        libraries=tuple(sdk["libraries"]),
    )
