# SPDX-License-Identifier: Apache-2.0
"""The agent's Python side as a board gets it: two packages of the checkout as one distribution, and what it needs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from board_packages.archive import Member

# Both packages are inside; the distribution edgectl-protos must not be installed beside it.
_INSIDE = "edgectl-protos"
_PROJECTS = ("device_agent", "protos")
_PACKAGES = ("device_agent/edgectl_agent", "protos/edgectl_protos")
# Of use to a type checker or to protoc, never to a running agent.
_LEFT_OUT = frozenset({".pyc", ".pyi", ".proto"})


@dataclass(frozen=True, slots=True)
class Distribution:
    """`requires` are requirement strings, sorted; `entry_points` is the text of entry_points.txt."""

    name: str
    version: str
    summary: str
    requires_python: str
    requires: tuple[str, ...]
    entry_points: str


def read_distribution(root: Path) -> Distribution:
    """The agent's metadata in the checkout at `root`, with what edgectl-protos needs in place of edgectl-protos."""
    agent, protos = (_project(root / folder / "pyproject.toml") for folder in _PROJECTS)
    requires = {text for project in (agent, protos) for text in project["dependencies"] if not text.startswith(_INSIDE)}
    scripts = "".join(f"{name} = {target}\n" for name, target in sorted(agent["scripts"].items()))
    return Distribution(
        name=agent["name"],
        version=agent["version"],
        summary=agent["description"],
        requires_python=agent["requires-python"],
        requires=tuple(sorted(requires)),
        entry_points=f"[console_scripts]\n{scripts}",
    )


def python_members(root: Path) -> list[Member]:
    """Every file of the two packages that a running agent may want, by path."""
    members = [
        Member(path.relative_to(package.parent).as_posix(), path.read_bytes())
        for package in map(root.joinpath, _PACKAGES)
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in _LEFT_OUT and not path.name.startswith(".")
    ]
    return sorted(members, key=lambda member: member.path)


def _project(path: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return project
