# SPDX-License-Identifier: Apache-2.0
"""The board wheel: agent, wire contract, edge-runner, its libraries and licences in one file that pip installs.

The runner is a script of the wheel and lands in `bin/`; the libraries are its data and land in `lib/edgectl/`, where
the runner's RUNPATH points. Format: the binary distribution format of packaging.python.org, version 1.0.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace

from board_packages.archive import Member, zip_bytes
from board_packages.distribution import Distribution
from board_packages.licences import EXPRESSION


@dataclass(frozen=True, slots=True)
class Wheel:
    """A finished wheel."""

    name: str
    content: bytes


def build_wheel(
    distribution: Distribution,
    *,
    platform: str,
    python: Iterable[Member],
    runner: bytes,
    libraries: Iterable[Member],
    licences: Iterable[Member],
) -> Wheel:
    """The wheel of these parts; `platform` is its platform tag. The same parts give the same bytes."""
    stem = f"{distribution.name.replace('-', '_')}-{distribution.version}"
    tag = f"py3-none-{platform}"
    information = f"{stem}.dist-info"
    texts = [replace(text, path=f"{information}/licenses/{text.path}") for text in licences]
    members = [
        *python,
        Member(f"{stem}.data/scripts/edge-runner", runner, executable=True),
        *(replace(library, path=f"{stem}.data/data/lib/edgectl/{library.path}") for library in libraries),
        *texts,
        Member(f"{information}/METADATA", _metadata(distribution, texts).encode()),
        Member(f"{information}/WHEEL", _wheel_file(tag).encode()),
        Member(f"{information}/entry_points.txt", distribution.entry_points.encode()),
    ]
    record = Member(f"{information}/RECORD", _record(members, f"{information}/RECORD").encode())
    return Wheel(name=f"{stem}-{tag}.whl", content=zip_bytes([*members, record]))


def _metadata(distribution: Distribution, licences: list[Member]) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {distribution.name}",
        f"Version: {distribution.version}",
        f"Summary: {distribution.summary}",
        f"License-Expression: {EXPRESSION}",
        *(f"License-File: {text.path.partition('/licenses/')[2]}" for text in licences),
        f"Requires-Python: {distribution.requires_python}",
        *(f"Requires-Dist: {requirement}" for requirement in distribution.requires),
    ]
    return "\n".join(lines) + "\n"


def _wheel_file(tag: str) -> str:
    return f"Wheel-Version: 1.0\nGenerator: board_packages\nRoot-Is-Purelib: false\nTag: {tag}\n"


def _record(members: Iterable[Member], own: str) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for member in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(member.content).digest()).rstrip(b"=").decode()
        rows.writerow((member.path, f"sha256={digest}", len(member.content)))
    rows.writerow((own, "", ""))
    return text.getvalue()
