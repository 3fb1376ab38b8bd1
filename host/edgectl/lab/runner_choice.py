# SPDX-License-Identifier: Apache-2.0
"""How a program's runner is to be started on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RunnerChoice:
    """0 and empty leave the choice to the device; `memory_limit_bytes` bounds the runner's own memory.

    One thread unless asked otherwise: with more, the time of a small program depends on the core its threads wake on,
    and two fresh processes differ by a factor.
    `allow_undelegated` lets a program be timed whose operators run outside a delegate.
    """

    threads: int = 1
    cpus: tuple[int, ...] = ()
    nice: int = 0
    memory_limit_bytes: int = 0
    allow_undelegated: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON; what was left to the device is null."""
        return {
            "threads": self.threads or None,
            "cpus": list(self.cpus) or None,
            "nice": self.nice,
            "memory_limit_bytes": self.memory_limit_bytes or None,
            "allow_undelegated": self.allow_undelegated,
        }
