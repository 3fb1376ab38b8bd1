# SPDX-License-Identifier: Apache-2.0
"""What the doctor makes of a board: files laid out like those of real boards, through the real readers and rules."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from pathlib import Path

import pytest
from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.doctor import board, board_rules
from edgectl_agent.doctor.facts import ArchitectureFacts, DiskFacts
from edgectl_agent.doctor.findings import Finding, Outcome
from edgectl_protos.metrics import Unavailable

_NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC).timestamp()
_ZERO_2W = "MemTotal:         436888 kB\nMemFree:           20000 kB\nMemAvailable:     {available} kB\n"
_SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def _write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _clock(root: Path, *, now: float = _NOON, synchronized: bool | None = True) -> Finding:
    return board_rules.check_clock(board.read_clock(now=now, synchronized=synchronized, sys=root))


def test_a_synchronized_clock_is_ok(tmp_path: Path) -> None:
    assert _clock(tmp_path) == Finding("clock", Outcome.OK, "2026-06-01 12:00 UTC, synchronized")


def test_a_clock_that_nobody_sets_is_a_warning_that_tells_of_a_battery(tmp_path: Path) -> None:
    assert "no battery-backed clock" in _clock(tmp_path, synchronized=False).seen
    _write(tmp_path / "class/rtc/rtc0/name", "rpi_rtc\n")
    found = _clock(tmp_path, synchronized=False)
    assert (found.outcome, "not synchronized, a battery-backed clock" in found.seen) == (Outcome.WARNING, True)
    assert "timedatectl set-ntp true" in found.fix


def test_a_clock_before_the_agent_was_made_is_wrong_even_where_it_is_called_synchronized(tmp_path: Path) -> None:
    """A Raspberry Pi without a network starts at its last shutdown, or in 1970."""
    found = _clock(tmp_path, now=1_000_000.0)
    assert found.outcome is Outcome.WRONG
    assert found.seen == "1970-01-12 13:46 UTC, before this agent was made"


def test_the_kernels_own_clock_can_be_asked() -> None:
    assert board.clock_synchronized() in {True, False}


def _disk(root: Path, *, folder: Path) -> DiskFacts:
    facts = board.read_disk(folder, sys=root)
    assert isinstance(facts, DiskFacts)
    return facts


def _card(root: Path, folder: Path) -> Path:
    """A card whose partition holds `folder`, in a /sys at `root`; its own folder."""
    number = folder.stat().st_dev
    card = root / "devices/mmcblk0"
    _write(card / "mmcblk0p2/partition", "2\n")
    link = root / f"dev/block/{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(card / "mmcblk0p2")
    return card


def test_a_folder_that_is_not_there_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    facts = _disk(tmp_path / "sys", folder=tmp_path / "var/lib/edge-agent")
    assert facts.total_bytes > facts.free_bytes > 0
    assert (facts.device, facts.errors, facts.worn_percent) == ("", None, None)


def test_errors_that_the_file_system_noted_point_to_the_card(tmp_path: Path) -> None:
    _card(tmp_path / "sys", tmp_path)
    _write(tmp_path / "sys/fs/ext4/mmcblk0p2/errors_count", "3\n")
    found = board_rules.check_disk(_disk(tmp_path / "sys", folder=tmp_path))
    assert found.outcome is Outcome.WARNING
    assert found.seen.endswith("mmcblk0p2; the file system has noted 3 errors")


def test_a_worn_storage_is_told_by_the_worse_of_its_estimates(tmp_path: Path) -> None:
    card = _card(tmp_path / "sys", tmp_path)
    _write(card / "device/life_time", "0x02 0x09\n")
    facts = _disk(tmp_path / "sys", folder=tmp_path)
    assert (facts.device, facts.worn_percent) == ("mmcblk0p2", 90)
    assert board_rules.check_disk(facts).seen.endswith("worn to 90 %")


@pytest.mark.parametrize(("life_time", "percent"), [("0x00 0x00", None), ("", None), ("soon", None), ("0x01 0x01", 10)])
def test_a_storage_that_tells_no_wear_has_none(life_time: str, percent: int | None) -> None:
    assert board.worn_percent(life_time) == percent


def test_a_read_only_file_system_is_wrong(tmp_path: Path) -> None:
    facts = DiskFacts(tmp_path, "mmcblk0p2", 1 << 34, 1 << 33, read_only=True, errors=None, worn_percent=None)
    found = board_rules.check_disk(facts)
    assert (found.outcome, "read-only file system, mmcblk0p2" in found.seen) == (Outcome.WRONG, True)
    assert "remount,rw" in found.fix


@pytest.mark.parametrize(
    ("free", "outcome"), [(20 << 20, Outcome.WRONG), (200 << 20, Outcome.WARNING), (1 << 30, Outcome.OK)]
)
def test_a_full_card_is_wrong_and_a_nearly_full_one_a_warning(free: int, outcome: Outcome, tmp_path: Path) -> None:
    facts = DiskFacts(tmp_path, "", 1 << 34, free, read_only=False, errors=0, worn_percent=None)
    assert board_rules.check_disk(facts).outcome is outcome


def test_a_folder_within_another_users_is_no_crash() -> None:
    found = board_rules.check_disk(Unavailable("/var/lib/private: Permission denied"))
    assert (found.outcome, found.fix) == (Outcome.WARNING, "run it as root: sudo edge-agent doctor")


@pytest.mark.parametrize(
    ("available", "outcome"), [(20_000, Outcome.WRONG), (60_000, Outcome.WARNING), (200_000, Outcome.OK)]
)
def test_memory_is_judged_by_what_is_available(available: int, outcome: Outcome, tmp_path: Path) -> None:
    _write(tmp_path / "meminfo", _ZERO_2W.format(available=available))
    found = board_rules.check_memory(board.read_memory(tmp_path))
    assert found.outcome is outcome
    assert "of 427 MiB available, swap: none" in found.seen


def test_swap_on_a_card_that_is_in_use_is_a_warning_and_compressed_memory_is_not(tmp_path: Path) -> None:
    _write(tmp_path / "meminfo", _ZERO_2W.format(available=200_000))
    _write(tmp_path / "swaps", f"{_SWAPS}/dev/zram0  partition  218444  100000  100\n")
    found = board_rules.check_memory(board.read_memory(tmp_path))
    assert (found.outcome, "swap: 213 MiB compressed (zram)" in found.seen) == (Outcome.OK, True)
    _write(tmp_path / "swaps", f"{_SWAPS}/var/swap  file  102400  90000  -2\n")
    found = board_rules.check_memory(board.read_memory(tmp_path))
    assert (found.outcome, "100 MiB on disk, 88 MiB used" in found.seen) == (Outcome.WARNING, True)


@pytest.mark.parametrize("odd", ["x", "\u00b2", "9" * 5000, "-1"])
def test_figures_of_proc_that_are_none_are_passed_over(odd: str, tmp_path: Path) -> None:
    _write(tmp_path / "proc/meminfo", f"MemTotal: {odd} kB\nMemAvailable: 1024 kB\n")
    _write(tmp_path / "proc/swaps", f"Filename Type Size Used Priority\n/dev/a partition {odd} 1\n/dev/b file 8 4 -2\n")
    memory = board.read_memory(tmp_path / "proc")
    assert (memory.total_bytes, memory.available_bytes, memory.swap_bytes) == (0, 1 << 20, 8 << 10)


def test_a_board_without_proc_has_unknown_memory(tmp_path: Path) -> None:
    assert board_rules.check_memory(board.read_memory(tmp_path)).outcome is Outcome.WARNING


def _conditions(root: Path) -> tuple[Finding, Finding]:
    found = asyncio.run(board.read_conditions(BoardConditions(sys=root, vcgencmd=str(root / "none"))))
    return board_rules.check_temperature(found), board_rules.check_power(found)


@pytest.mark.parametrize(("milli", "outcome"), [(48312, Outcome.OK), (75000, Outcome.WARNING), (83500, Outcome.WRONG)])
def test_a_hot_processor_is_told_before_it_slows_down(milli: int, outcome: Outcome, tmp_path: Path) -> None:
    _write(tmp_path / "class/thermal/thermal_zone0/temp", f"{milli}\n")
    temperature, _ = _conditions(tmp_path)
    assert temperature.outcome is outcome
    assert temperature.seen.startswith(f"{milli / 1000:.1f} degrees Celsius")


@pytest.mark.parametrize(
    ("flags", "outcome", "said"),
    [
        ("0", Outcome.OK, "neither low voltage nor throttling"),
        ("50005", Outcome.WRONG, "the voltage is too low"),
        ("50000", Outcome.WARNING, "the voltage was too low since the board started"),
        ("80008", Outcome.WARNING, "the processor is slowed down"),
        ("20002", Outcome.WARNING, "the processor is slowed down"),
        ("40000", Outcome.WARNING, "the processor was slowed down since the board started"),
    ],
)
def test_each_throttle_flag_of_the_firmware_is_put_in_words(
    flags: str, outcome: Outcome, said: str, tmp_path: Path
) -> None:
    _write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", f"{flags}\n")
    _, power = _conditions(tmp_path)
    assert (power.outcome, power.seen.startswith(f"flags 0x{flags}: ")) == (outcome, True)
    assert said in power.seen
    assert bool(power.fix) == (outcome is not Outcome.OK)


def test_the_kernels_alarm_counts_where_the_firmware_says_nothing(tmp_path: Path) -> None:
    assert _conditions(tmp_path)[1].outcome is Outcome.OK
    _write(tmp_path / "class/hwmon/hwmon0/name", "rpi_volt\n")
    _write(tmp_path / "class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")
    assert _conditions(tmp_path)[1].outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("machine", "bits", "outcome"),
    [
        ("aarch64", 64, Outcome.OK),
        ("x86_64", 64, Outcome.OK),
        ("aarch64", 32, Outcome.WRONG),
        ("armv7l", 32, Outcome.WRONG),
        ("riscv64", 64, Outcome.WRONG),
    ],
)
def test_32_bit_programs_on_a_64_bit_kernel_are_wrong(machine: str, bits: int, outcome: Outcome) -> None:
    found = board_rules.check_architecture(ArchitectureFacts(machine, bits, "Raspberry Pi 3 Model B Plus", 4096))
    assert found.outcome is outcome
    assert f"{machine}, {bits}-bit programs" in found.seen


def test_the_boards_name_is_the_device_trees(tmp_path: Path) -> None:
    _write(tmp_path / "device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    facts = board.read_architecture(tmp_path)
    assert (facts.board, facts.userland_bits) == ("Raspberry Pi 5 Model B Rev 1.0", 64)


def _controller(root: Path) -> Finding:
    facts = board.read_controller(proc=root / "proc", sys=root / "sys", boot=root / "boot")
    return board_rules.check_controller(facts)


def test_raspberry_pi_os_without_a_memory_controller_is_told_which_line_to_change(tmp_path: Path) -> None:
    _write(tmp_path / "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
    _write(tmp_path / "proc/cmdline", "coherent_pool=1M cgroup_disable=memory console=tty1 rootwait\n")
    _write(tmp_path / "boot/cmdline.txt", "DO NOT EDIT THIS FILE\n")
    _write(tmp_path / "boot/firmware/cmdline.txt", "console=tty1 rootwait\n")
    found = _controller(tmp_path)
    assert found.outcome is Outcome.WARNING
    assert found.seen.startswith("switched off at boot (cgroup_disable=memory): MemoryMax does nothing")
    line = tmp_path / "boot/firmware/cmdline.txt"
    assert found.fix == f"add cgroup_enable=memory to the one line of {line}, and restart the board"


def test_a_memory_controller_is_ok_and_a_board_without_cgroup_v2_a_warning(tmp_path: Path) -> None:
    assert _controller(tmp_path).seen.startswith("no cgroup v2")
    _write(tmp_path / "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert _controller(tmp_path).outcome is Outcome.OK
