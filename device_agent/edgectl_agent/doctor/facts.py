# SPDX-License-Identifier: Apache-2.0
"""What the doctor's readers found, as values. None is "cannot be told here", and never "no"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.address import Address
from edgectl_protos.metrics import Unavailable


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Seconds since the epoch; whether the kernel's clock is disciplined, and whether one runs on without power."""

    now: float
    synchronized: bool | None
    battery_backed: bool


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The file system that holds `folder`. `worn_percent` is what an eMMC tells of itself; an SD card tells nothing."""

    folder: Path
    device: str
    total_bytes: int
    free_bytes: int
    read_only: bool
    errors: int | None
    worn_percent: int | None


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Bytes. `compressed_bytes` of the swap is in memory itself (zram), the rest of it on a disk."""

    total_bytes: int
    available_bytes: int
    swap_bytes: int
    compressed_bytes: int
    disk_swap_used_bytes: int


@dataclass(frozen=True, slots=True)
class ConditionFacts:
    """Degrees Celsius, the Raspberry Pi firmware's throttle flags, and the kernel's under-voltage alarm."""

    temperature: float | Unavailable
    throttled: float | Unavailable
    under_voltage: str | Unavailable


@dataclass(frozen=True, slots=True)
class ArchitectureFacts:
    """The kernel's machine, and the width of the programs that run on it."""

    machine: str
    userland_bits: int
    board: str
    page_bytes: int


@dataclass(frozen=True, slots=True)
class ControllerFacts:
    """Whether cgroup v2 is there and can bound memory; `command_line` is the file that the firmware boots with."""

    unified: bool
    memory: bool
    disabled_at_boot: bool
    command_line: Path | None


@dataclass(frozen=True, slots=True)
class PortFacts:
    """Where the agent is to listen (None: nowhere), whether somebody does, and whether the agent runs."""

    listen: Address | None
    listening: bool
    agent_running: bool | None


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """The broker that is configured (None: none); `failure` is what kept it from taking the agent ("": nothing)."""

    broker: Address | None
    encrypted: bool
    failure: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """The agent's identity in `folder` (None: it has none).

    `failure` says what a client that trusts the lab's authority would not take, dates aside; `unreadable` is a file
    that this user may not read. Times are in seconds since the epoch.
    """

    folder: Path | None
    device: str
    failure: str = ""
    unreadable: str = ""
    names: tuple[str, ...] = ()
    not_before: float = 0.0
    not_after: float = 0.0
    key_mode: int = 0o600


@dataclass(frozen=True, slots=True)
class RunnerFacts:
    """The runner, what it says of itself, and what kept it from running the reference model ("": nothing)."""

    program: str
    runtime: str
    architecture: str
    delegates: tuple[str, ...]
    failure: str


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """The interpreter, where it is, and the versions of the distributions the agent is made of (None: missing)."""

    version: tuple[int, int, int]
    prefix: str
    distributions: tuple[tuple[str, str | None], ...]
    two_contracts: bool


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """The agent's settings file (None: none was found) and what is wrong with it ("": nothing)."""

    file: Path | None
    failure: str


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that was looked at."""

    settings: SettingsFacts
    clock: ClockFacts
    disk: DiskFacts | Unavailable
    memory: MemoryFacts
    conditions: ConditionFacts
    architecture: ArchitectureFacts
    controller: ControllerFacts
    port: PortFacts
    broker: BrokerFacts
    identity: IdentityFacts
    runner: RunnerFacts
    python: PythonFacts
