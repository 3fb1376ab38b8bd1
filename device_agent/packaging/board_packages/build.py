# SPDX-License-Identifier: Apache-2.0
"""From a checkout to finished packages: reads the parts, checks them against what is committed, writes the result."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from board_packages.architecture import Architecture
from board_packages.archive import Member
from board_packages.committed import Committed, check_libraries, check_needed, check_requires, check_size
from board_packages.debian import PYTHONS, control_file, pack_tree, package_members, write_control, write_tree
from board_packages.debian_python import distribution_members, fetch_distributions
from board_packages.distribution import python_members, read_distribution
from board_packages.elf import read_elf
from board_packages.licences import licence_members
from board_packages.platform_tag import needed_versions, oldest_system, platform_tag
from board_packages.runner import BoardRunner, build_runner
from board_packages.sdk import UnpackedSdk, unpack_sdk
from board_packages.wheel import build_wheel

_ELF = b"\x7fELF"


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
    names = sorted(committed.libraries[architecture.name])
    sources = place.root / "device_agent" / "runner"
    with _alone(place.build / architecture.name):
        sdk = unpack_sdk(architecture, committed.sdk, build=place.build)
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
    needed = needed_versions(architecture, files.values())
    wheel = build_wheel(
        distribution,
        platform=platform_tag(architecture, needed, committed.systems),
        python=python_members(place.root),
        runner=runner.program.read_bytes(),
        libraries=[Member(path.name, path.read_bytes(), executable=True) for path in runner.libraries],
        licences=licence_members(place.root, sdk.licence),
    )
    check_size(wheel.name, len(wheel.content), committed.ceilings[architecture.name].wheel)
    return _publish(place.dist, wheel.name, wheel.content, replacing=f"edgectl_agent-*_{architecture.name}.whl")


def make_deb(place: Workplace, architecture: Architecture, committed: Committed, *, level: int = 6) -> Path:
    """The Debian package in `place.dist`, compressed at xz's `level`.

    Raises:
        StateError: it cannot be built here, or is not what is committed.
    """
    runner, sdk = make_runner(place, architecture, committed)
    distribution = read_distribution(place.root)
    check_requires(committed, distribution.requires)
    sources = place.root / "device_agent" / "packaging" / "debian"
    members = package_members(
        sources=sources,
        unit=(place.root / "deploy" / "systemd" / "edge-agent.service").read_text(encoding="utf-8"),
        python=python_members(place.root),
        distributions=_distributions(sources / "requirements.txt", architecture, build=place.build),
        runner=runner.program.read_bytes(),
        libraries=[Member(path.name, path.read_bytes()) for path in runner.libraries],
        licences=licence_members(place.root, sdk.licence),
    )
    name = f"{distribution.name}_{distribution.version}_{architecture.debian}.deb"
    with tempfile.TemporaryDirectory(dir=place.build) as temporary:
        tree = Path(temporary, "tree")
        write_tree(members, tree)
        files = {member.path: read_elf(tree / member.path) for member in members if member.content[:4] == _ELF}
        check_needed(committed, architecture.name, files)
        needed = needed_versions(architecture, files.values())
        control = control_file(
            distribution,
            architecture,
            needed=needed,
            system=oldest_system(needed, committed.systems),
            installed_bytes=sum(len(member.content) for member in members),
        )
        write_control(members, tree, sources=sources, control=control)
        package = Path(temporary, name)
        pack_tree(tree, package, level=level)
        check_size(name, package.stat().st_size, committed.ceilings[architecture.name].deb)
        content = package.read_bytes()
    return _publish(place.dist, name, content, replacing=f"{distribution.name}_*_{architecture.debian}.deb")


def _distributions(requirements: Path, architecture: Architecture, *, build: Path) -> list[Member]:
    found: dict[str, Member] = {}
    for python in PYTHONS:
        wheels = fetch_distributions(requirements, architecture, python=python, build=build)
        found |= {member.path: member for member in distribution_members(wheels, python=python)}
    return list(found.values())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two builds at once would compile into each other's files: the second waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
