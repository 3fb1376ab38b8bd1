# SPDX-License-Identifier: Apache-2.0
"""Looks at the board: clock, disk, memory, conditions, architecture, memory controller. It decides nothing."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
from pathlib import Path

from edgectl_protos.metrics import Unavailable

from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.board.facts import parse_meminfo, read_board_facts
from edgectl_agent.doctor.facts import (
    ArchitectureFacts,
    ClockFacts,
    ConditionFacts,
    ControllerFacts,
    DiskFacts,
    MemoryFacts,
)

_UNSYNCHRONIZED = 0x40  # STA_UNSYNC in linux/timex.h
_TIMEX_BYTES, _TIMEX_STATUS = 256, 40  # struct timex of a 64-bit kernel, with room to spare
_NUMBER = re.compile(r"[0-9]{1,18}")
_COMMAND_LINES = ("firmware/cmdline.txt", "cmdline.txt")


def clock_synchronized() -> bool | None:
    """Whether somebody disciplines the kernel's clock (adjtimex(2) with nothing to adjust)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "adjtimex") or struct.calcsize("P") != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if library.adjtimex(timex) < 0:
        return None
    status: int = struct.unpack_from("i", timex, _TIMEX_STATUS)[0]
    return not status & _UNSYNCHRONIZED


def read_clock(*, now: float, synchronized: bool | None, sys: Path = Path("/sys")) -> ClockFacts:
    """A clock that runs on without power shows as a real-time clock; a Raspberry Pi before the 5 has none."""
    return ClockFacts(now, synchronized, battery_backed=any(sys.glob("class/rtc/rtc*")))


def read_disk(folder: Path, *, sys: Path = Path("/sys")) -> DiskFacts | Unavailable:
    """The file system that holds `folder`, or will: what is not there yet is judged by its nearest parent."""
    try:
        there = next(place for place in (folder, *folder.parents) if _exists(place))
        figures = os.statvfs(there)
        number = there.stat().st_dev
    except (OSError, StopIteration) as error:
        return Unavailable(f"{folder}: {getattr(error, 'strerror', None) or 'no such place'}")
    block = (sys / f"dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    whole = block.parent if (block / "partition").exists() else block
    return DiskFacts(
        folder=folder,
        device=block.name if block.exists() else "",
        total_bytes=figures.f_blocks * figures.f_frsize,
        free_bytes=figures.f_bavail * figures.f_frsize,
        read_only=bool(figures.f_flag & os.ST_RDONLY),
        errors=_number(sys / f"fs/ext4/{block.name}/errors_count"),
        worn_percent=worn_percent(_text(whole / "device/life_time")),
    )


def worn_percent(life_time: str) -> int | None:
    """The worse of an eMMC's two estimates, each in tenths of its life (JEDEC JESD84-B51, EXT_CSD 268 and 269)."""
    try:
        estimates = [int(word, 16) for word in life_time.split()]
    except ValueError:
        return None
    return 10 * max(estimates) if any(estimates) else None


def read_memory(proc: Path = Path("/proc")) -> MemoryFacts:
    sizes = parse_meminfo(_text(proc / "meminfo"))
    swaps = [line.split() for line in _text(proc / "swaps").splitlines()[1:]]
    areas = [
        (words[0], int(words[2]) << 10, int(words[3]) << 10)
        for words in swaps
        if len(words) >= 4 and all(map(_NUMBER.fullmatch, words[2:4]))
    ]
    return MemoryFacts(
        total_bytes=sizes.get("MemTotal", 0),
        available_bytes=sizes.get("MemAvailable", 0),
        swap_bytes=sum(size for _, size, _ in areas),
        compressed_bytes=sum(size for name, size, _ in areas if "zram" in name),
        disk_swap_used_bytes=sum(used for name, _, used in areas if "zram" not in name),
    )


async def read_conditions(conditions: BoardConditions) -> ConditionFacts:
    return ConditionFacts(
        temperature=conditions.temperature(),
        throttled=await conditions.throttled(),
        under_voltage=conditions.under_voltage_alarm(),
    )


def read_architecture(proc: Path = Path("/proc")) -> ArchitectureFacts:
    """A 32-bit system on a 64-bit kernel is told by the width of this very program."""
    tree = _text(proc / "device-tree/model").strip("\0\n ")
    return ArchitectureFacts(
        machine=platform.machine(),
        userland_bits=8 * struct.calcsize("P"),
        board=tree or read_board_facts(proc).cpu_model,
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
    )


def read_controller(
    *, proc: Path = Path("/proc"), sys: Path = Path("/sys"), boot: Path = Path("/boot")
) -> ControllerFacts:
    """What cgroup v2 offers at its root, and what the kernel was told at boot."""
    offered = sys / "fs/cgroup/cgroup.controllers"
    files = [boot / name for name in _COMMAND_LINES if (boot / name).exists()]
    return ControllerFacts(
        unified=offered.exists(),
        memory="memory" in _text(offered).split(),
        disabled_at_boot="cgroup_disable=memory" in _text(proc / "cmdline").split(),
        command_line=files[0] if files else None,
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # within a folder that is another user's
        return False


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
