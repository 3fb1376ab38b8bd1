# SPDX-License-Identifier: Apache-2.0
"""The Python distributions that the Debian package carries: fetched by digest, unpacked into members."""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

from edgectl_protos.errors import StateError

from board_packages.architecture import Architecture
from board_packages.archive import Member
from board_packages.tools import run_tool

# Of use to a type checker or a C compiler alone.
_LEFT_OUT = (".pyi", ".pyx", ".pxd", ".h", ".cc")
# Every name of what Debian 12 can load: pip compares names, it does not order them.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_EVERY_PYTHON = ("-none-any.whl", "-abi3-")


def fetch_distributions(requirements: Path, architecture: Architecture, *, python: str, build: Path) -> list[Path]:
    """The wheels that `requirements` pins, for CPython `python` on that architecture; fetched once below `build`.

    Raises:
        StateError: pip cannot fetch one, or its bytes are others than pinned.
    """
    pinned = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    folder = build / architecture.name / "python" / f"{python}-{pinned}"
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        target = [f"--platform={platform}_{architecture.name}" for platform in _PLATFORMS]
        chosen = ["--no-deps", "--only-binary=:all:", "--require-hashes", f"--python-version={python}", *target]
        run_tool([sys.executable, "-m", "pip", "download", "-r", str(requirements), "-d", str(partial), *chosen])
        partial.replace(folder)
    return sorted(folder.glob("*.whl"))


def distribution_members(wheels: list[Path], *, python: str) -> list[Member]:
    """What the wheels install, below `common/` or, for one that is for this Python alone, `pythonX.Y/`.

    Raises:
        StateError: one installs something beside its packages, which this does not do.
    """
    members = []
    for wheel in wheels:
        folder = "common" if any(mark in wheel.name for mark in _EVERY_PYTHON) else f"python{python}"
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if ".data/" in name:
                    raise StateError(f"{wheel.name} holds {name}", expected="packages alone")
                if not name.endswith((*_LEFT_OUT, "/")):
                    members.append(Member(f"{folder}/{name}", archive.read(name)))
    return members
