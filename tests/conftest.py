# SPDX-License-Identifier: Apache-2.0
"""What several suites share: the runner that was built, and real programs, kept between test sessions."""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

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
