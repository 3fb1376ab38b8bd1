# SPDX-License-Identifier: Apache-2.0
"""ExecuTorch for the board: the wheel of its architecture, of which headers, libraries and licence are unpacked.

The wheel is fetched once, by pip, and is the one whose digest is committed: a build never takes another.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import StateError

from board_packages.architecture import Architecture
from board_packages.committed import Sdk
from board_packages.tools import run_tool

# Every CPython's wheel carries the same C++ libraries; one is named, so that all builds start from the same file.
_PYTHON_VERSION = "3.11"
_UNPACKED = ("executorch/include/", "executorch/lib/", "executorch/share/")


@dataclass(frozen=True, slots=True)
class UnpackedSdk:
    """Where ExecuTorch's C++ side lies: `package` holds include/, lib/ and share/."""

    package: Path
    licence: Path

    def library(self, name: str) -> Path:
        """The path of `libexecutorch.so` or another of its libraries."""
        return self.package / "lib" / name


def unpack_sdk(architecture: Architecture, sdk: Sdk, *, build: Path) -> UnpackedSdk:
    """The SDK below `build`, fetched and unpacked where it is not there yet.

    Raises:
        StateError: it cannot be fetched, or its bytes are not the committed ones.
    """
    wheel = _fetch(architecture, sdk, build / "download")
    target = build / architecture.name / "sdk" / sdk.digests[architecture.name][:16]
    if not target.exists():
        partial = target.with_name(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            licence = f"executorch-{sdk.version}.dist-info/licenses/LICENSE"
            wanted = [name for name in archive.namelist() if name.startswith(_UNPACKED) or name == licence]
            archive.extractall(partial, wanted)
        partial.replace(target)
    return UnpackedSdk(
        package=target / "executorch", licence=target / f"executorch-{sdk.version}.dist-info/licenses/LICENSE"
    )


def _fetch(architecture: Architecture, sdk: Sdk, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"executorch-{sdk.version}-*_{architecture.name}.whl"
    if not list(folder.glob(pattern)):
        platform = f"manylinux_2_28_{architecture.name}"
        wanted = ["--platform", platform, "--python-version", _PYTHON_VERSION, f"executorch=={sdk.version}"]
        run_tool([sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", folder, *wanted])
    wheel = next(iter(sorted(folder.glob(pattern))))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != sdk.digests[architecture.name]:
        raise StateError(
            f"{wheel} has SHA-256 {digest}",
            expected=sdk.digests[architecture.name],
            action="delete it and build again; a new ExecuTorch is committed in board-packages.toml first",
        )
    return wheel
