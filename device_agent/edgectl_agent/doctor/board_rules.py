# SPDX-License-Identifier: Apache-2.0
"""What the board's facts mean. Pure: facts in, findings out."""

from __future__ import annotations

import datetime as dt

from edgectl_protos.metrics import Unavailable

from edgectl_agent.doctor.facts import (
    ArchitectureFacts,
    ClockFacts,
    ConditionFacts,
    ControllerFacts,
    DiskFacts,
    MemoryFacts,
)
from edgectl_agent.doctor.findings import Finding, Outcome, ok, warning, wrong

EARLIEST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""No board has run this agent before."""

_DISK_WRONG, _DISK_LOW = 64 << 20, 512 << 20  # an upload leaves 32 MiB free
_MEMORY_WRONG, _MEMORY_LOW = 32 << 20, 96 << 20
_SWAPPED_MUCH = 64 << 20
_WARM, _HOT = 70.0, 80.0  # a Raspberry Pi slows its processor from 80 degrees on
_WORN = 80

_UNDER_VOLTAGE, _CAPPED, _THROTTLED, _SOFT_LIMIT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_SINCE_BOOT = 16
_SUPPLY = "use the official power supply and a short cable; take power-hungry USB devices off"
_COOLING = "fit a heat sink or a fan, or give it air"


def check_clock(facts: ClockFacts) -> Finding:
    """A clock that is wrong makes every certificate look out of date."""
    name, now = "clock", dt.datetime.fromtimestamp(facts.now, dt.UTC)
    seen = f"{now:%Y-%m-%d %H:%M} UTC"
    repair = "connect it to a network with a time server: timedatectl set-ntp true"
    if now < EARLIEST:
        return wrong(name, f"{seen}, before this agent was made", f"{repair}; or set it: date -s '2026-01-31 12:00'")
    if facts.synchronized is False:
        clock = "a battery-backed clock" if facts.battery_backed else "no battery-backed clock"
        return warning(name, f"{seen}, not synchronized, {clock}", repair)
    told = "synchronized" if facts.synchronized else "the kernel does not tell whether it is synchronized"
    return ok(name, f"{seen}, {told}")


def check_disk(facts: DiskFacts | Unavailable) -> Finding:
    name = "disk"
    if isinstance(facts, Unavailable):
        return warning(name, facts.reason, "run it as root: sudo edge-agent doctor")
    device = f", {facts.device}" if facts.device else ""
    seen = f"{_size(facts.free_bytes)} of {_size(facts.total_bytes)} free for {facts.folder}{device}"
    if facts.read_only:
        return wrong(
            name,
            f"{facts.folder} is on a read-only file system{device}",
            "mount it writable: mount -o remount,rw /; a system that turned read-only by itself has a failing card:"
            " see `dmesg`, and replace it",
        )
    if facts.free_bytes < _DISK_WRONG:
        return wrong(name, seen, "free some space: bundles need it; `du -xh / | sort -h | tail` shows what is large")
    if facts.errors:
        return warning(
            name, f"{seen}; the file system has noted {facts.errors} errors", "save what is on the card, and replace it"
        )
    if facts.worn_percent is not None and facts.worn_percent >= _WORN:
        return warning(name, f"{seen}; worn to {facts.worn_percent} %", "plan to replace the storage")
    if facts.free_bytes < _DISK_LOW:
        return warning(name, seen, "free some space, or use a larger card")
    worn = "" if facts.worn_percent is None else f", worn to {facts.worn_percent} %"
    return ok(name, seen + worn)


def check_memory(facts: MemoryFacts) -> Finding:
    name = "memory"
    if not facts.total_bytes:
        return warning(name, "the kernel does not tell", "mount /proc")
    disk = facts.swap_bytes - facts.compressed_bytes
    areas = [f"{_size(facts.compressed_bytes)} compressed (zram)"] if facts.compressed_bytes else []
    areas += [f"{_size(disk)} on disk, {_size(facts.disk_swap_used_bytes)} used"] if disk else []
    seen = (
        f"{_size(facts.available_bytes)} of {_size(facts.total_bytes)} available, swap: {' and '.join(areas) or 'none'}"
    )
    stop = "stop what is not needed: a system without a desktop leaves some 100 MiB more"
    if facts.available_bytes < _MEMORY_WRONG:
        return wrong(name, seen, stop)
    if facts.available_bytes < _MEMORY_LOW:
        return warning(name, seen, stop)
    if facts.disk_swap_used_bytes > _SWAPPED_MUCH:
        return warning(
            name, seen, f"{stop}; swapping to a card is slow and wears it: apt-get install zram-tools swaps to memory"
        )
    return ok(name, seen)


def check_temperature(facts: ConditionFacts) -> Finding:
    name = "temperature"
    if isinstance(facts.temperature, Unavailable):
        return ok(name, f"not told: {facts.temperature.reason}")
    seen = f"{facts.temperature:.1f} degrees Celsius"
    if facts.temperature >= _HOT:
        return wrong(name, f"{seen}: the processor is slowed down", _COOLING)
    if facts.temperature >= _WARM:
        return warning(name, f"{seen}: from {_HOT:g} on the processor is slowed down", _COOLING)
    return ok(name, seen)


def check_power(facts: ConditionFacts) -> Finding:
    """The firmware's flags, and where there are none the kernel's own alarm."""
    name = "power"
    if isinstance(facts.throttled, Unavailable):
        if facts.under_voltage == "1":
            return wrong(name, "the supply's voltage is too low", _SUPPLY)
        told = facts.throttled.reason if isinstance(facts.under_voltage, Unavailable) else "the voltage is well"
        return ok(name, told)
    flags = int(facts.throttled)
    seen = f"flags 0x{flags:x}"
    if flags & _UNDER_VOLTAGE:
        return wrong(name, f"{seen}: the voltage is too low", _SUPPLY)
    if flags & (_CAPPED | _THROTTLED | _SOFT_LIMIT):
        return warning(name, f"{seen}: the processor is slowed down", f"{_COOLING}; {_SUPPLY}")
    if flags & (_UNDER_VOLTAGE << _SINCE_BOOT):
        return warning(name, f"{seen}: the voltage was too low since the board started", _SUPPLY)
    if flags >> _SINCE_BOOT:
        return warning(name, f"{seen}: the processor was slowed down since the board started", _COOLING)
    return ok(name, f"{seen}: neither low voltage nor throttling since the board started")


def check_architecture(facts: ArchitectureFacts) -> Finding:
    name = "architecture"
    seen = f"{facts.board or 'unknown board'}, {facts.machine}, {facts.userland_bits}-bit programs"
    if facts.userland_bits != 64 or facts.machine not in {"aarch64", "x86_64"}:
        return wrong(
            name, seen, "install a 64-bit system: 64-bit Raspberry Pi OS, on a Raspberry Pi Zero 2 W, 3, 4 or 5"
        )
    return ok(name, f"{seen}, pages of {facts.page_bytes >> 10} KiB")


def check_controller(facts: ControllerFacts) -> Finding:
    name = "memory controller"
    if facts.memory:
        return ok(name, "cgroup v2 can bound the agent's memory")
    consequence = "MemoryMax does nothing; each runner keeps its own limit"
    if not facts.unified:
        return warning(
            name, f"no cgroup v2: {consequence}", "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line"
        )
    where = f"the one line of {facts.command_line}" if facts.command_line else "the kernel's command line"
    why = "switched off at boot (cgroup_disable=memory)" if facts.disabled_at_boot else "not offered by the kernel"
    return warning(name, f"{why}: {consequence}", f"add cgroup_enable=memory to {where}, and restart the board")


def worst(findings: tuple[Finding, ...]) -> Outcome:
    """The gravest outcome there is."""
    found = {finding.outcome for finding in findings}
    return next((one for one in (Outcome.WRONG, Outcome.WARNING) if one in found), Outcome.OK)


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"
