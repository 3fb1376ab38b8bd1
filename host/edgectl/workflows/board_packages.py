# SPDX-License-Identifier: Apache-2.0
"""What a board's agent needs, fetched on this host for the board's own Python: the board needs no internet then."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edgectl_protos.errors import StateError, UsageError

from edgectl.workflows.provisioning import Say, SeenBoard

_FETCH_SECONDS = 900.0
_OLDEST_LIBC = 17  # manylinux_2_17; nothing the agent needs is built for older ones
_PYTHON = re.compile(r"3\.(\d{1,2})")
_MACHINE = re.compile(r"[a-z0-9_]{1,20}")
_LIBC = re.compile(r"2\.(\d{1,2})(?:\.\d+)?")


def fetch_packages(wheel: Path, board: SeenBoard, cache: Path, *, say: Say) -> Path:
    """A folder with wheels of all that the agent in `wheel` needs on `board`, and of pip.

    It is kept by the wheel and the kind of board, whole or not at all.

    Raises:
        UsageError: the board tells no Python or C library.
        StateError: pip is missing here, or finds no wheel.
    """
    words = download_words(board)
    kind = (
        f"{hashlib.sha256(wheel.read_bytes()).hexdigest()[:16]}-{board.machine}-python{board.python}-libc{board.libc}"
    )
    folder = cache / "board-packages" / kind
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    say(f"fetching what the agent needs on {board.machine} with Python {board.python}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as staging:
        into = Path(staging) / "wheels"
        into.mkdir()
        _download([*words, "--dest", str(into), str(wheel), "pip"])
        for own in into.glob("edgectl_agent-*.whl"):
            own.unlink()
        if not folder.exists():
            shutil.move(into, folder)
    return folder


def download_words(board: SeenBoard) -> list[str]:
    """Pip's options for wheels that run on the board.

    Raises:
        UsageError: it tells no Python 3, no glibc 2 or no machine: these become names of files here.
    """
    python, libc = _PYTHON.fullmatch(board.python), _LIBC.fullmatch(board.libc)
    if python is None or libc is None or _MACHINE.fullmatch(board.machine) is None:
        raise UsageError(
            f"the board tells Python {board.python!r}, C library {board.libc!r} and machine {board.machine[:40]!r}",
            expected="Python 3, glibc 2, and a machine such as aarch64",
            action="give the packages with --wheels, or let the board fetch them with --online",
        )
    tags = [f"manylinux_2_{minor}_{board.machine}" for minor in range(_OLDEST_LIBC, int(libc[1]) + 1)]
    platforms = [f"manylinux2014_{board.machine}", *tags, f"linux_{board.machine}"]
    return [
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={board.python}",
        *(f"--platform={platform}" for platform in platforms),
    ]


def _download(words: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unfetched("pip did not end") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise _unfetched(next((line for line in lines if line.startswith("ERROR")), lines[-1]).removeprefix("ERROR: "))


def _unfetched(seen: str) -> StateError:
    return StateError(
        f"what the agent needs could not be fetched: {' '.join(seen.split())[:300]}",
        expected="pip in this environment, and an index it reaches",
        action="correct that, give a folder of wheels with --wheels, or let the board fetch them with --online",
    )
