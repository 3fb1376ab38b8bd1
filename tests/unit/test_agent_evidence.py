# SPDX-License-Identifier: Apache-2.0
"""What the board says of the circumstances of a measurement."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from edgectl_agent.board.conditions import BoardConditions
from edgectl_agent.measure.evidence import Conditions, FrequencyWatch, new_flags, read_conditions, throttling
from edgectl_protos.metrics import Unavailable

_NONE = Unavailable("not here")


def _conditions(throttled: float | Unavailable, alarm: str | Unavailable = _NONE) -> Conditions:
    return Conditions(_NONE, _NONE, _NONE, throttled, alarm, _NONE)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0x0, 0x0, ()),
        (0x0, 0x50000, ("under-voltage", "throttled")),
        (0x50000, 0x50000, ()),
        (0x10000, 0x10001, ("under-voltage",)),
        (0x0, 0x80008, ("the soft temperature limit was active",)),
        (0x0, 0x20000, ("the frequency was capped",)),
    ],
)
def test_flags_since_boot_tell_of_a_measurement_only_where_they_are_new(
    before: int, after: int, told: tuple[str, ...]
) -> None:
    assert throttling(_conditions(before), _conditions(after)) == told


def test_a_board_without_flags_tells_nothing() -> None:
    assert throttling(_conditions(_NONE), _conditions(_NONE)) == ()
    assert new_flags(_conditions(_NONE), _conditions(0)) == _NONE
    assert new_flags(_conditions(0x50000), _conditions(0x70000)) == "0x20000"


def test_the_kernels_alarm_counts_where_the_firmware_is_silent() -> None:
    assert throttling(_conditions(_NONE, "0"), _conditions(_NONE, "1")) == ("under-voltage",)


def test_the_supply_monitor_of_a_raspberry_pi_is_read(tmp_path: Path) -> None:
    monitor = tmp_path / "class/hwmon/hwmon3"
    monitor.mkdir(parents=True)
    (monitor / "name").write_text("rpi_volt\n")
    (monitor / "in0_lcrit_alarm").write_text("1\n")
    conditions = asyncio.run(read_conditions(BoardConditions(sys=tmp_path)))
    assert conditions.under_voltage_alarm == "1"
    named = {entry.name: entry.reading for entry in conditions.evidence("after")}
    assert named["under_voltage_alarm.after"] == "1"


def test_the_watch_keeps_the_lowest_frequency(tmp_path: Path) -> None:
    scaling = tmp_path / "devices/system/cpu/cpu0/cpufreq"
    scaling.mkdir(parents=True)
    frequency = scaling / "scaling_cur_freq"
    frequency.write_text("1800000\n")

    async def watch() -> FrequencyWatch:
        watching = FrequencyWatch(BoardConditions(sys=tmp_path))
        async with watching.watching():
            await asyncio.sleep(0.1)
            frequency.write_text("600000\n")
            await asyncio.sleep(0.5)
            frequency.write_text("1800000\n")
            await asyncio.sleep(0.4)
        return watching

    assert asyncio.run(watch()).reading == "600000"


def test_a_board_without_frequency_scaling_says_so(tmp_path: Path) -> None:
    async def watch() -> FrequencyWatch:
        watching = FrequencyWatch(BoardConditions(sys=tmp_path))
        async with watching.watching():
            await asyncio.sleep(0.05)
        return watching

    assert isinstance(asyncio.run(watch()).reading, Unavailable)
