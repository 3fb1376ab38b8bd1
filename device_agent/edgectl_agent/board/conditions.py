# SPDX-License-Identifier: Apache-2.0
"""What the board is going through: temperature, throttling, governor, frequency, load. Unknown is never zero."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from edgectl_protos.metrics import Unavailable

_VCGENCMD_SECONDS = 2.0


class BoardConditions:
    """Readings of the board whose /sys is at `sys`.

    Throttle flags are the Raspberry Pi firmware's bits: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
    temperature limit; 16 to 19 the same since boot.
    """

    def __init__(self, *, sys: Path = Path("/sys"), vcgencmd: str | None = None) -> None:
        self._sys = sys
        self._vcgencmd = vcgencmd or shutil.which("vcgencmd")

    def temperature(self) -> float | Unavailable:
        """Degrees Celsius of the processor: the first thermal zone, else the first processor sensor."""
        for zone in sorted(self._sys.glob("class/thermal/thermal_zone*/temp")):
            try:
                return int(zone.read_text()) / 1000.0
            except (OSError, ValueError):
                continue
        return self._hardware_monitor()

    def _hardware_monitor(self) -> float | Unavailable:
        for sensor in sorted(self._sys.glob("class/hwmon/hwmon*/temp1_input")):
            try:
                name = (sensor.parent / "name").read_text().strip()
                if name in {"coretemp", "k10temp", "cpu_thermal"}:
                    return int(sensor.read_text()) / 1000.0
            except (OSError, ValueError):
                continue
        return Unavailable("the board has no temperature sensor for its processor")

    async def throttled(self) -> float | Unavailable:
        """The firmware's throttle flags as a number."""
        path = self._sys / "devices/platform/soc/soc:firmware/get_throttled"
        try:
            return float(int(path.read_text().strip(), 16))
        except FileNotFoundError:
            return await self._ask_firmware()
        except (OSError, ValueError) as error:
            return Unavailable(f"the firmware's throttle flags cannot be read ({error})")

    async def _ask_firmware(self) -> float | Unavailable:
        if self._vcgencmd is None:
            return Unavailable("the board has no Raspberry Pi firmware to ask")
        try:
            process = await asyncio.create_subprocess_exec(
                self._vcgencmd,
                "get_throttled",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            return Unavailable(f"vcgencmd cannot be started ({error})")
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _VCGENCMD_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            return Unavailable("vcgencmd did not answer")
        return parse_throttled(output.decode(errors="replace"))

    def under_voltage_alarm(self) -> str | Unavailable:
        """Whether the kernel's monitor of the Raspberry Pi's supply raises its alarm: "1" or "0"."""
        for name in sorted(self._sys.glob("class/hwmon/hwmon*/name")):
            try:
                if name.read_text().strip() == "rpi_volt":
                    return (name.parent / "in0_lcrit_alarm").read_text().strip()
            except OSError:
                continue
        return Unavailable("the board has no monitor of its supply voltage")

    def governor(self) -> str | Unavailable:
        return self._cpufreq("scaling_governor")

    def frequency_khz(self) -> str | Unavailable:
        return self._cpufreq("scaling_cur_freq")

    def load_average(self) -> str | Unavailable:
        try:
            return " ".join(f"{value:.2f}" for value in os.getloadavg())
        except OSError:
            return Unavailable("the kernel gives no load average")

    def _cpufreq(self, name: str) -> str | Unavailable:
        try:
            return (self._sys / "devices/system/cpu/cpu0/cpufreq" / name).read_text().strip()
        except OSError:
            return Unavailable("the kernel exposes no frequency scaling for cpu0")


def parse_throttled(text: str) -> float | Unavailable:
    """The flags in vcgencmd's answer, such as `throttled=0x50000`."""
    _, separator, value = text.strip().partition("throttled=")
    try:
        return float(int(value, 16)) if separator else Unavailable(f"vcgencmd answered {text.strip()[:80]!r}")
    except ValueError:
        return Unavailable(f"vcgencmd answered {text.strip()[:80]!r}")
