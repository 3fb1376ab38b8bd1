# SPDX-License-Identifier: Apache-2.0
"""How a runner process is started: its threads, its processors, its priority and its fence of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgectl_protos.errors import UsageError

MAX_THREADS = 256
MAX_CPUS = 1024


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """0 and empty leave the choice to the runner; `memory_limit_bytes` bounds its own (anonymous) memory."""

    threads: int = 0
    cpus: tuple[int, ...] = ()
    nice: int = 0
    memory_limit_bytes: int = 0

    def __post_init__(self) -> None:
        _within("threads", [self.threads], 0, MAX_THREADS)
        _within("cpus", self.cpus, 0, MAX_CPUS - 1)
        _within("nice", [self.nice], -20, 19)
        _within("memory_limit_bytes", [self.memory_limit_bytes], 0, 1 << 50)

    def arguments(self) -> list[str]:
        """As flags of edge-runner."""
        flags: list[str] = []
        if self.threads:
            flags += ["--threads", str(self.threads)]
        if self.cpus:
            flags += ["--cpus", ",".join(map(str, self.cpus))]
        if self.nice:
            flags += ["--nice", str(self.nice)]
        if self.memory_limit_bytes:
            flags += ["--memory-limit", str(self.memory_limit_bytes)]
        return flags


def _within(what: str, values: Sequence[int], lowest: int, highest: int) -> None:
    for value in values:
        if not lowest <= value <= highest:
            raise UsageError(f"{what} {value}", expected=f"{lowest} to {highest}", action="ask for another")
