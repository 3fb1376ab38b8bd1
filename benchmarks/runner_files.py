# SPDX-License-Identifier: Apache-2.0
"""What the runner's benchmarks share: the binary, a program to run, and its inputs. Prints nothing by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def find_runner() -> str:
    beside_python = shutil.which("edge-runner", path=str(Path(sys.executable).parent))
    runner = beside_python or shutil.which("edge-runner")
    if runner is None:
        sys.exit("edge-runner is neither beside this Python nor on PATH; build it with: make runner")
    return runner


def make_program(name: str, directory: Path) -> Path:
    """One of the programs of tests/programs.py."""
    sys.path.insert(0, str(ROOT))
    from tests import programs

    made: Path = getattr(programs, name)(directory)
    return made


def describe(runner: str, program: Path) -> dict[str, Any]:
    done = subprocess.run([runner, "info", program, "--json"], check=True, capture_output=True)
    described: dict[str, Any] = json.loads(done.stdout)
    return described


def zero_inputs(described: dict[str, Any], directory: Path) -> list[Path]:
    """Raw files of zeros: four bytes an element, for float32 inputs."""
    method = next(one for one in described["methods"] if one["name"] == "forward")
    paths = []
    for index, port in enumerate(method["inputs"]):
        path = directory / f"input{index}.bin"
        path.write_bytes(bytes(4 * prod(port["shape"])))
        paths.append(path)
    return paths
