# SPDX-License-Identifier: Apache-2.0
"""Cross-compiles edge-runner and lays it beside the libraries it needs, as a board has them.

`build/boards/ARCH/bin/edge-runner` and `build/boards/ARCH/lib/edgectl/*.so`. The same sources, compiler and SDK give
the same bytes in whatever folder they lie: paths are mapped away, and no build id is made.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.errors import StateError

from board_packages.architecture import Architecture
from board_packages.sdk import UnpackedSdk
from board_packages.tools import run_tool

# Seen from bin/, in a virtual environment as under /usr.
RUNPATH = "$ORIGIN/../lib/edgectl"


@dataclass(frozen=True, slots=True)
class BoardRunner:
    """A built runner and its libraries, by name order."""

    program: Path
    libraries: tuple[Path, ...]


def build_runner(
    architecture: Architecture, sdk: UnpackedSdk, *, libraries: Sequence[str], sources: Path, build: Path
) -> BoardRunner:
    """Compile `sources` against `sdk` into `build`/ARCH; what is already there is replaced by renaming.

    Raises:
        StateError: a tool is missing, or the sources do not compile.
    """
    folder = build / architecture.name
    # CMake remembers where it found the SDK's libraries: another SDK is compiled against in another folder.
    compiled = _compile(architecture, sdk, sources=sources, build=folder / f"cmake-{sdk.package.parent.name}")
    stripped = folder / "edge-runner.stripped"
    run_tool([f"{architecture.triplet}-strip", "-o", stripped, compiled])
    program = folder / "bin" / "edge-runner"
    program.parent.mkdir(parents=True, exist_ok=True)
    stripped.replace(program)
    placed = []
    for name in sorted(libraries):
        library = folder / "lib" / "edgectl" / name
        library.parent.mkdir(parents=True, exist_ok=True)
        partial = library.with_name(f".{name}.new")
        shutil.copyfile(sdk.library(name), partial)
        partial.chmod(0o755)
        partial.replace(library)
        placed.append(library)
    return BoardRunner(program=program, libraries=tuple(placed))


def _compile(architecture: Architecture, sdk: UnpackedSdk, *, sources: Path, build: Path) -> Path:
    compiler = f"{architecture.triplet}-g++"
    if shutil.which(compiler) is None:
        package = f"g++-{architecture.triplet.replace('_', '-')}"
        raise StateError(f"no {compiler} on this machine", expected="it on PATH", action=f"apt-get install {package}")
    scripts = Path(sys.executable).parent
    cmake = scripts / "cmake"
    mapped = " ".join(
        f'"-ffile-prefix-map={path}={name}"'
        for path, name in (
            (build.resolve(), "build"),
            (sources.resolve(), "runner"),
            (sdk.package.resolve(), "executorch"),
        )
    )
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": architecture.name,
        "CMAKE_CXX_COMPILER": compiler,
        "CMAKE_CXX_FLAGS": mapped,
        "CMAKE_EXE_LINKER_FLAGS": "-Wl,--build-id=none",
        "CMAKE_PREFIX_PATH": sdk.package.resolve(),
        "CMAKE_MAKE_PROGRAM": scripts / "ninja",
        "EDGE_RUNNER_RPATH": RUNPATH,
    }
    flags = [f"-D{name}={value}" for name, value in settings.items()]
    run_tool([cmake, "-S", sources, "-B", build, "-G", "Ninja", *flags])
    run_tool([cmake, "--build", build])
    return build / "edge-runner"
