# SPDX-License-Identifier: Apache-2.0
"""The commands that the documentation shows: lines of fenced blocks that call edgectl, without prompt and comment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHELL = {"", "console", "sh", "bash"}


@dataclass(frozen=True, slots=True)
class ShownCommand:
    """One line and where it stands."""

    page: str
    text: str


def blocks(page: Path) -> list[list[str]]:
    """The command lines of each fenced shell block of a page."""
    found = []
    for language, body in _FENCE.findall(page.read_text("utf-8")):
        if language in _SHELL:
            lines = [line.removeprefix("$ ").split(" #", 1)[0].strip() for line in body.splitlines()]
            found.append([line for line in lines if line])
    return found


def edgectl_commands() -> list[ShownCommand]:
    """Every `edgectl` line of the README, the pages in docs/ and the examples."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    return [
        ShownCommand(page.relative_to(ROOT).as_posix(), line.split(" > ")[0])
        for page in pages
        for block in blocks(page)
        for line in block
        if line.startswith("edgectl ")
    ]
