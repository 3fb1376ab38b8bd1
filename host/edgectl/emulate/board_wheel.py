# SPDX-License-Identifier: Apache-2.0
"""The agent's wheel for aarch64 boards: where it is, and the runner out of it for an emulator on this machine."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from edgectl_protos.errors import StateError, UsageError

import edgectl
from edgectl.config import Paths

WHEEL_VARIABLE = "EDGECTL_BOARD_WHEEL"
BUILD_COMMAND = "make agent-wheel ARCH=aarch64"

_MAXIMUM_BYTES = 256 << 20
_NAME = re.compile(r"edgectl_agent-[^-/]+-[^-/]+-[^-/]+-[^-/]*_aarch64\.whl")
_PROGRAM = re.compile(r"edgectl_agent-[^/]+\.data/scripts/edge-runner")
_LIBRARY = re.compile(r"edgectl_agent-[^/]+\.data/data/(lib/edgectl/[A-Za-z0-9_.+-]+\.so)")
_RUNNER = "bin/edge-runner"


def find_board_wheel(paths: Paths, environ: Mapping[str, str]) -> Path:
    """The aarch64 wheel: the one `EDGECTL_BOARD_WHEEL` names, else of this version in `dist/` of a checkout.

    `paths.cache` is looked at last: a wheel that was put into `boards` there serves an edgectl without a checkout.

    Raises:
        UsageError: the variable names no such wheel.
        StateError: there is none.
    """
    named = environ.get(WHEEL_VARIABLE, "")
    if named:
        return _named_wheel(Path(named))
    folders = [folder for folder in (_checkout_dist(), paths.cache / "boards") if folder is not None]
    for folder in folders:
        of_this_version = [
            path for path in folder.glob(f"edgectl_agent-{edgectl.__version__}-*.whl") if _is_wheel(path)
        ]
        if of_this_version:
            return max(of_this_version, key=lambda path: (path.stat().st_mtime_ns, path.name))
    raise StateError(
        f"no agent wheel {edgectl.__version__} for aarch64 in {' or '.join(map(str, folders))}",
        expected="the one that boards are installed from",
        action=f"run `{BUILD_COMMAND}` in a checkout of edgectl, or set {WHEEL_VARIABLE} to the file",
    )


def unpack_runner(wheel: Path, into: Path) -> Path:
    """The wheel's edge-runner below `into`, with its libraries beside it; what is there already is not written again.

    The folder is named by the wheel's SHA-256, so another wheel gets another one. It is whole or not there.

    Raises:
        UsageError: the file cannot be read or holds no runner, or `into` cannot be written.
    """
    try:
        with wheel.open("rb") as file:
            folder = into / hashlib.file_digest(file, "sha256").hexdigest()[:16]
            if not (folder / _RUNNER).is_file():
                _unpack(file, wheel, folder)
    # RuntimeError and NotImplementedError: encrypted, odd compression.
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise _no_wheel(wheel, str(error)) from error
    return folder / _RUNNER


def _unpack(file: IO[bytes], wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, wheel)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".runner-") as staging:
            whole = Path(staging) / "runner"
            for name, member in members.items():
                _write_member(archive, member, whole / name)
            (whole / _RUNNER).chmod(0o755)
            try:
                whole.rename(folder)
            except OSError:
                if not (folder / _RUNNER).is_file():  # else another process was first
                    raise


def _members(archive: zipfile.ZipFile, wheel: Path) -> dict[str, zipfile.ZipInfo]:
    """Runner and libraries by where they go. Only names of that form are taken, so none leads elsewhere."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        library = _LIBRARY.fullmatch(member.filename)
        if library is not None:
            members[library[1]] = member
        elif _PROGRAM.fullmatch(member.filename):
            members[_RUNNER] = member
    if _RUNNER not in members:
        raise _no_wheel(wheel, "it holds no edge-runner")
    if sum(member.file_size for member in members.values()) > _MAXIMUM_BYTES:
        raise _no_wheel(wheel, f"runner and libraries of more than {_MAXIMUM_BYTES} bytes")
    return members


def _write_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """No more than the size that the archive states is read: zipfile stops there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("xb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())


def _named_wheel(path: Path) -> Path:
    if not _is_wheel(path):
        raise UsageError(
            f"{WHEEL_VARIABLE}={path}",
            expected="an existing edgectl_agent-...-aarch64.whl",
            action=f"correct it, or unset it and run `{BUILD_COMMAND}`",
        )
    return path.absolute()


def _is_wheel(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and path.is_file()


def _checkout_dist() -> Path | None:
    """`dist` of the checkout this package runs from; None where it is installed elsewhere."""
    root = Path(edgectl.__file__).resolve().parents[2]
    return root / "dist" if (root / "device_agent").is_dir() else None


def _no_wheel(wheel: Path, seen: str) -> UsageError:
    return UsageError(
        f"{wheel}: {seen}", expected="the agent's wheel for aarch64", action=f"build it again: {BUILD_COMMAND}"
    )
