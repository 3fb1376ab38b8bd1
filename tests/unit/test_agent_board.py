# SPDX-License-Identifier: Apache-2.0
"""What a board tells, read from files laid out like those of real boards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from edgectl_agent.board.conditions import BoardConditions, parse_throttled
from edgectl_agent.board.facts import parse_cpuinfo, parse_meminfo, read_board_facts
from edgectl_protos.metrics import Unavailable

_PI4 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU part\t: 0xd08

Revision\t: c03114
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
_X86 = (
    "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: sse avx2\n\nprocessor\t: 1\nmodel name\t: Other\nflags\t: x\n"
)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cpuinfo_of_a_board_and_of_a_desk() -> None:
    assert parse_cpuinfo(_PI4) == ("Raspberry Pi 4 Model B Rev 1.4", ("asimd", "cpuid", "crc32", "evtstrm", "fp"))
    assert parse_cpuinfo(_X86) == ("Some CPU", ("avx2", "sse"))
    assert parse_cpuinfo("CPU implementer : 0x41\nCPU part : 0xd0b\n") == ("implementer 0x41 part 0xd0b", ())
    assert parse_cpuinfo("") == ("", ())


def test_meminfo_gives_bytes() -> None:
    assert parse_meminfo("MemTotal:  1000 kB\nHugePages_Total: 0\nnoise\nBad: x kB\n") == {"MemTotal": 1_024_000}


def test_a_board_that_tells_nothing_gives_no_facts(tmp_path: Path) -> None:
    facts = read_board_facts(tmp_path)
    assert (facts.cpu_model, facts.cpu_features, facts.memory_bytes, facts.boot_id) == ("", (), 0, "")


def test_a_board_with_nothing_says_unavailable_for_everything(tmp_path: Path) -> None:
    conditions = BoardConditions(sys=tmp_path, vcgencmd=str(tmp_path / "none"))
    assert isinstance(conditions.temperature(), Unavailable)
    assert isinstance(conditions.governor(), Unavailable)
    assert isinstance(conditions.frequency_khz(), Unavailable)
    assert isinstance(asyncio.run(conditions.throttled()), Unavailable)


def test_a_raspberry_pi_tells_all(tmp_path: Path) -> None:
    _write(tmp_path / "class/thermal/thermal_zone0/temp", "48312\n")
    _write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    _write(tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    _write(tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n")
    conditions = BoardConditions(sys=tmp_path)
    assert conditions.temperature() == 48.312
    assert asyncio.run(conditions.throttled()) == 0x50005
    assert (conditions.governor(), conditions.frequency_khz()) == ("ondemand", "1500000")


def test_a_thermal_zone_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path / "class/thermal/thermal_zone0/temp", "\n")
    _write(tmp_path / "class/hwmon/hwmon0/name", "nvme\n")
    _write(tmp_path / "class/hwmon/hwmon0/temp1_input", "99000\n")
    _write(tmp_path / "class/hwmon/hwmon1/name", "coretemp\n")
    _write(tmp_path / "class/hwmon/hwmon1/temp1_input", "41000\n")
    assert BoardConditions(sys=tmp_path).temperature() == 41.0


@pytest.mark.parametrize("text", ["", "throttled=", "throttled=zz", "error=1 error_msg=..."])
def test_a_firmware_answer_that_is_none_is_unavailable(text: str) -> None:
    assert isinstance(parse_throttled(text), Unavailable)


def test_the_firmware_is_asked_where_there_is_no_file(tmp_path: Path) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text("#!/bin/sh\necho throttled=0x50000\n")
    program.chmod(0o755)
    assert asyncio.run(BoardConditions(sys=tmp_path, vcgencmd=str(program)).throttled()) == 0x50000
