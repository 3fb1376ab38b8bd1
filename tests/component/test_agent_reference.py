# SPDX-License-Identifier: Apache-2.0
"""The reference model that comes with the agent."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from edgectl_agent.measure.reference import REFERENCE_DIGEST, REFERENCE_PROGRAM

_ROOT = Path(__file__).resolve().parents[2]


def test_the_file_is_the_one_that_ratios_are_named_after() -> None:
    assert hashlib.sha256(REFERENCE_PROGRAM.read_bytes()).hexdigest() == REFERENCE_DIGEST


def test_building_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    built = tmp_path / "reference.pte"
    script = _ROOT / "device_agent/reference/build.py"
    subprocess.run([sys.executable, str(script), str(built)], capture_output=True, timeout=240, check=True)
    assert built.read_bytes() == REFERENCE_PROGRAM.read_bytes()
