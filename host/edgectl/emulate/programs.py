# SPDX-License-Identifier: Apache-2.0
"""Programs of this machine that emulation needs: found, or named with their packages; run to their end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgectl_protos.errors import StateError

PACKAGES: Mapping[str, str] = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "fakeroot": "fakeroot",
}
"""Debian's package of each program."""

_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin"  # where a user's PATH does not look
_TAIL_LINES = 6
_TAIL_CHARACTERS = 600
_STOP_SECONDS = 5.0


def find_programs(*names: str) -> dict[str, str]:
    """The path of each program.

    Raises:
        StateError: some are not installed; it names all of them and their packages.
    """
    found = {name: shutil.which(name) or shutil.which(name, path=_FOLDERS) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise StateError(
            f"{', '.join(missing)} not found",
            expected="the programs that emulated machines are made and run with",
            action=f"run: sudo apt-get install {' '.join(PACKAGES[name] for name in missing)}",
        )
    return {name: path for name, path in found.items() if path is not None}


def run_program(
    command: Sequence[str], *, what: str, folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """Run `command` to its end. It goes with this process's Ctrl-C, and nothing of its group stays behind.

    Args:
        command: the program and its arguments.
        what: what it is for, in the error: "making the disk".
        folder: where it runs.
        environ: variables beside this process's own.

    Raises:
        StateError: it could not be started or failed; the message ends with its last lines.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise StateError(f"{what}: {command[0]} cannot be started ({error.strerror})") from error
    try:
        said, _ = process.communicate()
    except BaseException:
        _end_group(process)
        raise
    if process.returncode != 0:
        raise StateError(
            f"{what} failed: {Path(command[0]).name} ended with status {process.returncode}{_tail(said)}",
            action="see what it says; a registry that cannot be reached and a full disk are the usual reasons",
        )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _tail(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return f": {' | '.join(lines[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]}" if lines else ""
