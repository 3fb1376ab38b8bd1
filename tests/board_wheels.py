# SPDX-License-Identifier: Apache-2.0
"""Wheels for a board that is this machine: of the agent as it stands here, and of what is installed beside it."""

from __future__ import annotations

import os
import platform
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import edgectl_agent
import edgectl_protos
from edgectl_agent import __version__

NEEDED = ("grpcio", "protobuf", "paho-mqtt", "typing-extensions", "pip")


def agent_wheel(folder: Path, runner: Path, *, version: str = __version__, main: str = "") -> Path:
    """Laid out as the boards' wheel is, with this environment's runner.

    `main` replaces the agent's command line, which then needs nothing beside it.
    """
    files = {}
    for package in (edgectl_agent, edgectl_protos):
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"{root.name}/{path.relative_to(root)}"] = path.read_bytes()
    files["edgectl_agent/__init__.py"] = files["edgectl_agent/__init__.py"].replace(
        __version__.encode(), version.encode()
    )
    if main:
        files["edgectl_agent/__main__.py"] = main.encode()
    information = f"edgectl_agent-{version}.dist-info"
    tag = f"py3-none-linux_{platform.machine()}"
    needs = () if main else ("grpcio", "protobuf", "paho-mqtt")
    requires = "".join(f"Requires-Dist: {name}\n" for name in needs)
    files[f"edgectl_agent-{version}.data/scripts/edge-runner"] = runner.read_bytes()
    files[f"{information}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: edgectl-agent\nVersion: {version}\n{requires}".encode()
    )
    files[f"{information}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    files[f"{information}/entry_points.txt"] = b"[console_scripts]\nedge-agent = edgectl_agent.__main__:main\n"
    return _write(folder / f"edgectl_agent-{version}-{tag}.whl", information, files)


def needed_wheels(folder: Path) -> Path:
    """What the agent needs, and pip, packed again from where they are installed: nothing is fetched."""
    folder.mkdir(parents=True)
    for name in NEEDED:
        found = distribution(name)
        files = {}
        information = ""
        for entry in found.files or ():
            path = Path(os.fspath(entry))
            if path.parts[0] == ".." or "__pycache__" in path.parts or path.name in {"RECORD", "direct_url.json"}:
                continue
            files[str(path)] = Path(os.fspath(entry.locate())).read_bytes()
            if path.parts[0].endswith(".dist-info"):
                information = path.parts[0]
        tag = next(line for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))
        _write(folder / f"{information.removesuffix('.dist-info')}-{tag.removeprefix('Tag: ')}.whl", information, files)
    return folder


def interpreter() -> Path:
    """The Python that these wheels are for, outside any virtual environment."""
    return Path(sys.executable).resolve()


def _write(path: Path, information: str, files: dict[str, bytes]) -> Path:
    record = "".join(f"{name},,\n" for name in [*files, f"{information}/RECORD"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {**files, f"{information}/RECORD": record.encode()}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name.endswith("edge-runner") else 0o100644) << 16
            archive.writestr(entry, data)
    return path
