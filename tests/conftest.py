# SPDX-License-Identifier: Apache-2.0
"""What several suites share: the runner that was built, and real programs, kept between test sessions."""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from edgectl.emulate.board_wheel import unpack_runner

from tests import programs


@pytest.fixture(scope="session")
def edge_runner() -> Path:
    """The installed edge-runner. A machine that runs these tests has built it: its absence is a failure."""
    found = shutil.which("edge-runner", path=str(Path(sys.executable).parent)) or shutil.which("edge-runner")
    assert found is not None, "edge-runner is not beside this Python: run `make runner`"
    return Path(found)


@pytest.fixture(scope="session")
def program_directory(pytestconfig: pytest.Config) -> Path:
    """Where the programs of `tests.programs` stay, by what they were made from: building them imports torch."""
    made_from = hashlib.sha256(Path(programs.__file__).read_bytes())
    made_from.update("".join(f"{name} {version(name)} " for name in ("torch", "executorch")).encode())
    return pytestconfig.cache.mkdir(f"programs-{made_from.hexdigest()[:16]}")


@pytest.fixture(scope="session")
def board_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The aarch64 wheel of this tree; what its building needs is kept in `build/boards`."""
    from board_packages.architecture import ARCHITECTURES
    from board_packages.build import Workplace, make_wheel
    from board_packages.committed import read_committed

    root = Path(__file__).resolve().parents[1]
    place = Workplace(root, root / "build" / "boards", tmp_path_factory.mktemp("dist"))
    return make_wheel(place, ARCHITECTURES["aarch64"], read_committed())


@pytest.fixture(scope="session")
def board_runner(board_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The aarch64 edge-runner, with its libraries beside it."""
    return unpack_runner(board_wheel, tmp_path_factory.mktemp("boards"))


@pytest.fixture(scope="session")
def insn_plugin() -> Path:
    """The counter of instructions. A machine that runs these tests has built it: its absence is a failure."""
    plugin = Path(sys.prefix, "lib", "edgectl", "insn.so")
    assert plugin.is_file(), f"no {plugin}: run `make insn`"
    return plugin
