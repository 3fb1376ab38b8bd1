# SPDX-License-Identifier: Apache-2.0
"""The Debian package: the same agent and runner below /usr, with the Python distributions it needs inside.

Debian 12's own grpcio and paho-mqtt are older than the agent takes. So they lie in /usr/lib/edgectl-agent, pure and
stable-ABI ones once, grpcio for each Python; `edge-agent` looks there and in the standard library, and nowhere else.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from edgectl_protos.errors import StateError

from board_packages.architecture import Architecture
from board_packages.archive import Member
from board_packages.committed import System
from board_packages.distribution import Distribution
from board_packages.elf import Version
from board_packages.tools import run_tool

PYTHONS = ("3.11", "3.13")
UNIT = "usr/lib/systemd/system/edge-agent.service"

_NAME = "edgectl-agent"
_TIME = 315_532_800  # 1980-01-01, as in the wheel
_MAINTAINER_SCRIPTS = ("postinst", "prerm", "postrm")
_CONFIGURATION = "etc/edgectl/agent.toml"
_IDENTITY = "etc/edgectl/identity"
_VENV = "/opt/edgectl/bin/"
_UNIT_START = "[Unit]\n"
_UNIT_HEADER = """\
# SPDX-License-Identifier: Apache-2.0
# The edgectl device agent. Settings: /etc/edgectl/agent.toml. Not started before /etc/edgectl/identity has its key.
[Unit]
ConditionPathExists=/etc/edgectl/identity/device.key
"""


def package_members(
    *,
    sources: Path,
    unit: str,
    python: Iterable[Member],
    distributions: Iterable[Member],
    runner: bytes,
    libraries: Iterable[Member],
    licences: Iterable[Member],
) -> list[Member]:
    """Every file of the package, by path from the root; `sources` is device_agent/packaging/debian."""
    documents = f"usr/share/doc/{_NAME}"
    members = [
        Member("usr/bin/edge-agent", (sources / "edge-agent").read_bytes(), executable=True),
        Member("usr/bin/edge-runner", runner, executable=True),
        Member(UNIT, service_unit(unit).encode()),
        Member(_CONFIGURATION, (sources / "agent.toml").read_bytes()),
        *(Member(f"usr/lib/{_NAME}/common/{member.path}", member.content) for member in python),
        *(Member(f"usr/lib/{_NAME}/{member.path}", member.content) for member in distributions),
        *(Member(f"usr/lib/edgectl/{library.path}", library.content) for library in libraries),
        *(Member(f"{documents}/licences/{text.path}", text.content) for text in licences),
        Member(f"{documents}/copyright", _COPYRIGHT.encode()),
    ]
    return sorted(members, key=lambda member: member.path)


def service_unit(unit: str) -> str:
    """deploy/systemd/edge-agent.service for a program below /usr, and one that waits until the board has an identity.

    Raises:
        StateError: the unit starts something else than expected.
    """
    _, found, rest = unit.partition(_UNIT_START)
    if not found or _VENV not in rest:
        raise StateError("deploy/systemd/edge-agent.service", expected=f"a [Unit] that starts {_VENV}edge-agent")
    return _UNIT_HEADER + rest.replace(_VENV, "/usr/bin/")


def control_file(
    distribution: Distribution,
    architecture: Architecture,
    *,
    needed: Mapping[str, Version],
    system: System,
    installed_bytes: int,
) -> str:
    """The text of DEBIAN/control. `needed` gives libc6's version, `system` those of the compiler's libraries."""
    compiler = system.versions["GCC"][0]
    libc = ".".join(map(str, needed["GLIBC"]))
    depends = [
        f"libc6 (>= {libc})",
        f"libgcc-s1 (>= {compiler})",
        f"libstdc++6 (>= {compiler})",
        *python_depends(PYTHONS),
    ]
    return (
        f"Package: {_NAME}\n"
        f"Version: {distribution.version}\n"
        f"Architecture: {architecture.debian}\n"
        "Maintainer: edgectl authors <edgectl@example.invalid>\n"
        f"Installed-Size: {-(-installed_bytes // 1024)}\n"
        f"Depends: {', '.join(depends)}\n"
        "Section: misc\n"
        "Priority: optional\n"
        "Description: edgectl device agent\n"
        " Installs, checks, serves and measures ExecuTorch programs that edgectl sends,\n"
        " over mutual TLS. It holds edge-runner and the Python libraries it needs.\n"
    )


def python_depends(pythons: Sequence[str]) -> list[str]:
    """Relations that hold for exactly these minor versions of Python 3, in their order.

    `python3 (>= 3.11), python3 (<< 3.12) | python3 (>= 3.13), python3 (<< 3.14)` for 3.11 and 3.13.
    """
    minors = [int(version.partition(".")[2]) for version in pythons]
    relations = [f"python3 (>= 3.{minors[0]})"]
    for before, after in pairwise(minors):
        if after > before + 1:
            relations.append(f"python3 (<< 3.{before + 1}) | python3 (>= 3.{after})")
    return [*relations, f"python3 (<< 3.{minors[-1] + 1})"]


def write_tree(members: Iterable[Member], folder: Path) -> None:
    """Write the package's files below `folder`, with an empty place for the identity."""
    (folder / _IDENTITY).mkdir(parents=True, mode=0o700)
    for member in members:
        path = folder / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member.content)
        path.chmod(member.mode)


def write_control(members: Sequence[Member], folder: Path, *, sources: Path, control: str) -> None:
    """Write DEBIAN/ beside the files below `folder`."""
    area = folder / "DEBIAN"
    area.mkdir()
    (area / "control").write_text(control, encoding="utf-8")
    (area / "conffiles").write_text(f"/{_CONFIGURATION}\n", encoding="utf-8")
    sums = [
        f"{hashlib.md5(member.content, usedforsecurity=False).hexdigest()}  {member.path}\n"
        for member in members
        if member.path != _CONFIGURATION
    ]
    (area / "md5sums").write_text("".join(sums), encoding="utf-8")
    for name in _MAINTAINER_SCRIPTS:
        shutil.copyfile(sources / name, area / name)


def pack_tree(folder: Path, target: Path, *, level: int) -> None:
    """Make `target` of the tree at `folder`: owned by root, all times alike, compressed at xz's `level`, 0 to 9."""
    private = folder / _IDENTITY
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o700 if path == private else 0o755)
        elif path.parent.name == "DEBIAN":
            path.chmod(0o755 if path.name in _MAINTAINER_SCRIPTS else 0o644)
    run_tool(
        # One thread: how many a machine has would show in the bytes.
        ["dpkg-deb", "--root-owner-group", "-Zxz", f"-z{level}", "--threads-max=1", "--build", folder, target],
        environ={"SOURCE_DATE_EPOCH": str(_TIME)},  # no time in the package is later
    )


_COPYRIGHT = f"""\
edgectl-agent: Copyright the edgectl authors, under the Apache License 2.0 (/usr/share/common-licenses/Apache-2.0).

edge-runner is linked against ExecuTorch, whose libraries are in /usr/lib/edgectl; its licence and those of what it
bundles are in /usr/share/doc/{_NAME}/licences, listed in BUNDLED.txt there.

The Python distributions in /usr/lib/{_NAME} bring their licences in their .dist-info folders.
"""
