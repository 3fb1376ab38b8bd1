# SPDX-License-Identifier: Apache-2.0
"""One virtual environment for each peer, so that no two can move each other's packages, nor the project's torch.

Made once under the cache and recognised by its pins; without a network an existing one is enough.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
TORCH = "torch==2.13.0"


class UnavailableError(Exception):
    """In one line, why an environment, a conversion or a worker cannot be had."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A name and pinned requirements; no requirements is the project's own environment."""

    name: str
    requirements: tuple[str, ...] = ()


PROJECT = Environment("project")
EXPORT = Environment("export", (TORCH, "onnx==1.23.2", "onnxscript==0.7.2"))


def python_of(environment: Environment, cache: Path) -> Path:
    """The interpreter of an environment, made where it is not there yet.

    Raises:
        UnavailableError: it cannot be made: pip's last line.
    """
    if not environment.requirements:
        return Path(sys.executable)
    folder = cache / "environments" / environment.name
    python, stamp = folder / "bin" / "python", folder / "pins.txt"
    pins = "".join(f"{requirement}\n" for requirement in environment.requirements)
    if stamp.is_file() and stamp.read_text() == pins:
        return python
    print(f"making the environment of {environment.name}: {' '.join(environment.requirements)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        checked([sys.executable, "-m", "venv", folder])
        if TORCH in environment.requirements:
            _install_cpu_torch(python)
        checked([python, "-m", "pip", "install", "--quiet", *environment.requirements])
    except UnavailableError as error:
        raise UnavailableError(f"no environment for {environment.name} ({error}); it needs a package index") from error
    stamp.write_text(pins)
    return python


def run_module(
    environment: Environment, module: str, *arguments: str | Path, cache: Path, timeout: float = 1200
) -> str:
    """What `python -m MODULE` prints in that environment, where the package `shootout` can be imported.

    Raises:
        UnavailableError: see `python_of`, or the module failed: its last line.
    """
    return checked([python_of(environment, cache), "-P", "-m", module, *arguments], timeout=timeout)


def checked(command: list[str | Path], *, timeout: float = 1200) -> str:
    """Standard output of a command.

    Raises:
        UnavailableError: it failed, or took longer than `timeout` seconds: its last line.
    """
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=timeout, env=environment_variables()
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"nothing came of it in {timeout:.0f} s") from error
    if done.returncode != 0:
        raise UnavailableError(last_line(done.stderr) or last_line(done.stdout) or f"exit status {done.returncode}")
    return done.stdout


def environment_variables() -> dict[str, str]:
    """Those of this process, with the package `shootout` importable."""
    return os.environ | {"PYTHONPATH": str(BENCHMARKS), "PYTHONWARNINGS": "ignore"}


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _install_cpu_torch(python: Path) -> None:
    """The default index may answer with a CUDA build of several GB; uv knows where the CPU build is."""
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
    probe = "import json, sys; print(json.load(sys.stdin)['install'][0]['metadata']['version'])"
    planned = checked([*pip, "--dry-run", "--no-deps", "--ignore-installed", "--report", "-", TORCH])
    version = subprocess.run([sys.executable, "-c", probe], input=planned, capture_output=True, text=True, check=False)
    if version.stdout.strip().endswith("+cpu"):
        checked([*pip, TORCH])
        return
    checked([*pip, "uv"])
    checked([python, "-m", "uv", "pip", "install", "--python", python, "--quiet", "--torch-backend", "cpu", TORCH])
