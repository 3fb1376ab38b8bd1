# SPDX-License-Identifier: Apache-2.0
"""What an agent says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgectl_protos.metrics import Unavailable

from edgectl.lab.measurement import Attempt, MemoryFigures
from edgectl.lab.periodic import PeriodicFigures
from edgectl.lab.profile import ProfiledCall

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A version of a model that is on the device; the active one answers inferences."""

    name: str
    version: str
    digest: str
    active: bool


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """The device and its agent, as Hello tells it; `agent_pss_bytes` is None where the board cannot tell.

    `emulator` is empty on a real board ("qemu-user cortex-a72"), `core` the one that the runtime chooses kernels for.
    """

    name: str
    agent_version: str
    boot_id: str
    architecture: str
    runtime: str
    delegates: tuple[str, ...]
    capabilities: tuple[str, ...]
    kernel: str
    cpu_model: str
    cpu_features: tuple[str, ...]
    cpu_count: int
    memory_bytes: int
    models: tuple[InstalledModel, ...]
    agent_pss_bytes: int | None
    emulator: str = ""
    core: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON: the part that belongs in a measurement's provenance."""
        return {
            "agent_version": self.agent_version,
            "boot_id": self.boot_id,
            "architecture": self.architecture,
            "runtime": self.runtime,
            "kernel": self.kernel,
            "cpu_model": self.cpu_model,
            "cpu_features": list(self.cpu_features),
            "cpu_count": self.cpu_count,
            "memory_bytes": self.memory_bytes,
            "emulator": self.emulator or None,
            "core": self.core or None,
        }


@dataclass(frozen=True, slots=True)
class Installed:
    """A bundle that is on the device now; `already_present` when nothing had to be sent."""

    name: str
    version: str
    digest: str
    already_present: bool


@dataclass(frozen=True, slots=True)
class UncheckedBudget:
    """A budget of the bundle's manifest that the device did not check, and why."""

    budget: str
    reason: str


@dataclass(frozen=True, slots=True)
class Activation:
    """The bundle that answers now, the one before it (None: none), and how far its golden outputs were off."""

    name: str
    digest: str
    previous_digest: str | None
    golden_max_abs_error: float
    unchecked_budgets: tuple[UncheckedBudget, ...] = ()


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The bundle that answers now, and the one that did."""

    name: str
    digest: str
    rolled_back_digest: str


@dataclass(frozen=True, slots=True)
class Inference:
    """Outputs of one run, in the program's order, timed on the device in microseconds (None on an emulated board)."""

    outputs: list[Array]
    execute_us: float | None
    digest: str


@dataclass(frozen=True, slots=True)
class BenchmarkBlock:
    """One block of timed runs, in milliseconds, and its runner's resident bytes after it.

    `reference` says that it is one of the reference model.
    """

    attempt: int
    index: int
    reference: bool
    samples_ms: tuple[float, ...]
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class InstructionCount:
    """What the program's thread executed in a process of the short length, and in one of the long."""

    index: int
    short_instructions: int
    long_instructions: int


@dataclass(frozen=True, slots=True)
class Warmup:
    """How the process warmed up; `stable` is false where it reached its time limit first."""

    runs: int
    seconds: float
    stable: bool


Evidence = dict[str, str | Unavailable]


@dataclass(frozen=True, slots=True)
class ProfileAnswer:
    """A program's calls, and the ETDump file of the same runs where it was asked for."""

    runs: int
    threads: int
    execute_p50_us: float
    calls: tuple[ProfiledCall, ...]
    evidence: Evidence
    etdump: bytes


@dataclass(frozen=True, slots=True)
class PeriodicAnswer:
    """What comes after the last window of a run at a fixed rate."""

    figures: PeriodicFigures
    threads: int
    cpus: tuple[int, ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What comes after the last block: all of the samples, whichever blocks were streamed."""

    unit: str
    attempts: tuple[Attempt, ...]
    chosen: int
    memory: MemoryFigures
    loads_ms: tuple[float, ...]
    warmup: Warmup
    threads: int
    cpus: tuple[int, ...]
    evidence: Evidence
    dropped_blocks: int
    reference_digest: str
    undelegated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstructionResult:
    """What comes after the last count: all of them, whichever were streamed; bytes of the file and planned arenas."""

    counts: tuple[InstructionCount, ...]
    program_bytes: int
    planned_bytes: int
    threads: int
    evidence: Evidence
    dropped_counts: int
    undelegated: tuple[str, ...]
