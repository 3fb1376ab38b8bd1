# SPDX-License-Identifier: Apache-2.0
"""What a program or library asks of the system it runs on, as readelf shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from board_packages.tools import run_tool

Version = tuple[int, ...]

_NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[(.+)\]")
_RUNPATH = re.compile(r"\((?:RUNPATH|RPATH)\)\s+Library (?:runpath|rpath): \[(.*)\]")
_MACHINE = re.compile(r"^\s*Machine:\s+(.+?)\s*$", flags=re.MULTILINE)
_VERSION = re.compile(r"Name: ([A-Z]+)_([0-9.]+)\b")
_SEGMENT = re.compile(r"^\s+LOAD\s.*\s(0x[0-9a-f]+)$", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """`versions` is the highest symbol version needed of each family: {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29)}.

    `page_bytes` is the largest page size of a kernel that can load it.
    """

    machine: str
    needed: tuple[str, ...]
    runpath: str
    versions: Mapping[str, Version]
    page_bytes: int


def read_elf(path: Path) -> ElfFacts:
    """The facts of one ELF file.

    Raises:
        StateError: there is no readelf, or it cannot read the file.
    """
    shown = run_tool(["readelf", "-W", "--file-header", "--program-headers", "--dynamic", "--version-info", path])
    return parse_readelf(shown)


def parse_readelf(shown: str) -> ElfFacts:
    """The facts in what `readelf -W --file-header --program-headers --dynamic --version-info` printed."""
    machine = _MACHINE.search(shown)
    runpath = _RUNPATH.search(shown)
    _, _, needs = shown.partition("Version needs section")
    versions: dict[str, Version] = {}
    for family, number in _VERSION.findall(needs):
        version = tuple(int(part) for part in number.split("."))
        versions[family] = max(version, versions.get(family, ()))
    return ElfFacts(
        machine=machine.group(1) if machine else "",
        needed=tuple(_NEEDED.findall(shown)),
        runpath=runpath.group(1) if runpath else "",
        versions=versions,
        page_bytes=min(int(alignment, 16) for alignment in _SEGMENT.findall(shown)),
    )
