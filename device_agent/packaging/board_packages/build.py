# SPDX-License-Identifier: Apache-2.0
"""From a checkout to finished packages: reads the parts, checks them against what is committed, writes the result."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from board_packages.architecture import Architecture
from board_packages.archive import Member
from board_packages.committed import Committed, check_libraries, check_needed, check_requires, check_size
from board_packages.distribution import python_members, read_distribution
from board_packages.elf import read_elf
from board_packages.licences import licence_members
from board_packages.platform_tag import platform_tag
from board_packages.runner import BoardRunner, build_runner
from board_packages.sdk import UnpackedSdk, unpack_sdk
from board_packages.wheel import build_wheel


@dataclass(frozen=True, slots=True)
class Workplace:
    """The checkout, where intermediate files go, and where packages go."""

    root: Path
    build: Path
    dist: Path


def make_runner(place: Workplace, architecture: Architecture, committed: Committed) -> tuple[BoardRunner, UnpackedSdk]:
    """The cross-built runner, and the SDK it was built against.

    Raises:
        StateError: it cannot be built here, or its libraries are not the committed ones.
    """
    sdk = unpack_sdk(architecture, committed.sdk, build=place.build)
    names = sorted(committed.libraries[architecture.name])
    sources = place.root / "device_agent" / "runner"
    runner = build_runner(architecture, sdk, libraries=names, sources=sources, build=place.build)
    check_libraries(committed, architecture.name, {path.name: path.stat().st_size for path in runner.libraries})
    return runner, sdk


def make_wheel(place: Workplace, architecture: Architecture, committed: Committed) -> Path:
    """The board wheel in `place.dist`; wheels of other builds for the same board are replaced.

    Raises:
        StateError: it cannot be built here, or is not what is committed.
    """
    runner, sdk = make_runner(place, architecture, committed)
    distribution = read_distribution(place.root)
    check_requires(committed, distribution.requires)
    files = {path.name: read_elf(path) for path in (runner.program, *runner.libraries)}
    check_needed(committed, architecture.name, files)
    wheel = build_wheel(
        distribution,
        platform=platform_tag(architecture, files.values(), committed.systems),
        python=python_members(place.root),
        runner=runner.program.read_bytes(),
        libraries=[Member(path.name, path.read_bytes(), executable=True) for path in runner.libraries],
        licences=licence_members(place.root, sdk.licence),
    )
    check_size(wheel.name, len(wheel.content), committed.ceilings[architecture.name].wheel)
    return _publish(place.dist, wheel.name, wheel.content, replacing=f"edgectl_agent-*_{architecture.name}.whl")


def _publish(folder: Path, name: str, content: bytes, *, replacing: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    partial = folder / f".{name}.{os.getpid()}"
    partial.write_bytes(content)
    partial.replace(target)
    for old in folder.glob(replacing):
        if old != target:
            old.unlink()
    return target
