# SPDX-License-Identifier: Apache-2.0
"""What the board is: read once at start, from /proc."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What does not change while the board is up; memory in bytes.

    `emulator` names what emulates it ("qemu-system cortex-a72"); empty on a real board.
    """

    machine: str
    kernel: str
    cpu_model: str
    cpu_features: tuple[str, ...]
    cpu_count: int
    memory_bytes: int
    boot_id: str
    emulator: str = ""


def read_board_facts(proc: Path = Path("/proc")) -> BoardFacts:
    """The facts of the board whose /proc is at `proc`; what it does not tell is empty or 0."""
    model, features = parse_cpuinfo(_text(proc / "cpuinfo"))
    return BoardFacts(
        machine=platform.machine(),
        kernel=f"{platform.system()} {platform.release()}",
        cpu_model=model or _text(proc / "device-tree/model").strip("\0\n "),
        cpu_features=features,
        cpu_count=os.cpu_count() or 1,
        memory_bytes=parse_meminfo(_text(proc / "meminfo")).get("MemTotal", 0),
        boot_id=_text(proc / "sys/kernel/random/boot_id").strip(),
    )


def parse_cpuinfo(text: str) -> tuple[str, tuple[str, ...]]:
    """Model name and feature flags of the first core: "flags" on x86, "Features" and the part number on Arm."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip(), value.strip())
    model = fields.get("model name") or fields.get("Model", "")
    if not model and "CPU part" in fields:
        model = f"implementer {fields.get('CPU implementer', '?')} part {fields['CPU part']}"
    features = fields.get("flags") or fields.get("Features", "")
    return model, tuple(sorted(features.split()))


def parse_meminfo(text: str) -> dict[str, int]:
    """Bytes by name, of those lines of /proc/meminfo or smaps_rollup that give kB."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and _is_count(words[0]):
            sizes[name] = int(words[0]) * 1024
    return sizes


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
