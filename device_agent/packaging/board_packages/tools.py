# SPDX-License-Identifier: Apache-2.0
"""Runs the programs a build is made of: one place that says what is missing and what failed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgectl_protos.errors import StateError

_SHOWN_LINES = 40


def run_tool(arguments: Sequence[str | Path], *, environ: Mapping[str, str] | None = None) -> str:
    """What the program prints, in the C locale.

    Raises:
        StateError: it is not installed, or it failed; the end of what it said is in the message.
    """
    command = [str(argument) for argument in arguments]
    settings = {**os.environ, "LC_ALL": "C", **(environ or {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    except FileNotFoundError as error:
        raise StateError(
            f"no {command[0]} on this machine", expected="it on PATH", action="run deploy/setup.sh boards"
        ) from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-_SHOWN_LINES:])
        raise StateError(f"{Path(command[0]).name} ended with {done.returncode}:\n{said}", expected="0")
    return done.stdout
