# SPDX-License-Identifier: Apache-2.0
"""What a person sees: `edgectl` with a pseudo-terminal as its output."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "import sys; from edgectl.cli.main import main; sys.exit(main())"]
ESCAPE = "\x1b["


def on_terminal(*words: str, home: Path, **environ: str) -> tuple[int, str]:
    """Exit code and everything that was drawn, stdout and stderr on one terminal of 100 columns."""
    leader, follower = pty.openpty()
    names = {"EDGECTL_HOME": str(home), "TERM": "xterm-256color", "COLUMNS": "100"} | environ
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={key: value for key, value in os.environ.items() if key != "NO_COLOR"} | names,
    )
    os.close(follower)
    drawn = b""
    while True:
        try:
            chunk = os.read(leader, 4096)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        drawn += chunk
    os.close(leader)
    return process.wait(timeout=60), drawn.decode()


def test_terminal_gets_a_drawn_table(tmp_path: Path) -> None:
    code, drawn = on_terminal("targets", "list", home=tmp_path)
    assert code == 0
    assert "─" in drawn
    assert "aarch64" in drawn


def test_no_color_takes_the_colours_away(tmp_path: Path) -> None:
    _, drawn = on_terminal("targets", "list", home=tmp_path, NO_COLOR="1")
    assert "─" in drawn
    assert f"{ESCAPE}3" not in drawn
    assert f"{ESCAPE}1;3" not in drawn


@pytest.mark.parametrize("style", ["plain", "json"])
def test_plain_and_json_are_the_same_on_a_terminal(style: str, tmp_path: Path) -> None:
    code, drawn = on_terminal("targets", "list", "-o", style, home=tmp_path)
    assert code == 0
    assert ESCAPE not in drawn
    assert "─" not in drawn


def test_error_on_a_terminal_is_one_line(tmp_path: Path) -> None:
    code, drawn = on_terminal("inspect", "absent.edge", home=tmp_path)
    assert code == 2
    assert drawn == "error: no file absent.edge; expected a bundle (NAME-VERSION.edge); check the path\r\n"
