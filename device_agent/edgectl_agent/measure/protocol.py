# SPDX-License-Identifier: Apache-2.0
"""How a program is to be measured, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgectl_protos.errors import UsageError

from edgectl_agent.runner.bench import BlockProtocol

MAX_SECONDS = 3600.0
"""The longest a protocol may ask for, and the longest that a measurement may take beyond that."""

_MAX_RUNS = 1 << 20  # of one process, in all its blocks


@dataclass(frozen=True, slots=True)
class MeasurementProtocol:
    """Up to `attempts` attempts of `blocks` blocks, each attempt judged by `max_variation` and `max_drift` (shares).

    A block ends when both `block_runs` and `block_seconds` are reached, the warm-up likewise. With `max_drift` 0 no
    reference model is run. `time_limit_seconds` 0 is the protocol's own least time and `MAX_SECONDS`.
    """

    name: str
    warmup_seconds: float
    warmup_runs: int
    blocks: int
    block_runs: int
    block_seconds: float
    max_variation: float
    max_drift: float
    attempts: int
    cooldown_seconds: float
    time_limit_seconds: float = 0.0

    def __post_init__(self) -> None:
        _within("warmup_seconds", self.warmup_seconds, 0, 600)
        _within("warmup_runs", self.warmup_runs, 0, _MAX_RUNS)
        _within("blocks", self.blocks, 1, 1_000)
        _within("block_runs", self.block_runs, 1, _MAX_RUNS)
        _within("block_seconds", self.block_seconds, 0, 600)
        _within("max_variation", self.max_variation, 0, 1)
        _within("max_drift", self.max_drift, 0, 1)
        _within("attempts", self.attempts, 1, 10)
        _within("cooldown_seconds", self.cooldown_seconds, 0, 600)
        _within("time_limit_seconds", self.time_limit_seconds, 0, 2 * MAX_SECONDS)
        _within("the least time of all attempts in seconds", self.least_seconds, 0, MAX_SECONDS)
        _within("blocks * block_runs * attempts", self.blocks * self.block_runs * self.attempts, 1, _MAX_RUNS)

    @property
    def least_seconds(self) -> float:
        """How long it lasts where every attempt is needed, however fast the program is."""
        models = 2 if self.max_drift else 1
        attempt = models * self.blocks * self.block_seconds
        return models * self.warmup_seconds + self.attempts * attempt + (self.attempts - 1) * self.cooldown_seconds

    @property
    def limit_seconds(self) -> float:
        """When it is broken off."""
        return self.time_limit_seconds or self.least_seconds + MAX_SECONDS

    @property
    def block(self) -> BlockProtocol:
        return BlockProtocol(self.warmup_seconds, self.warmup_runs, self.block_runs, self.block_seconds)


def _within(what: str, value: float, lowest: float, highest: float) -> None:
    if not math.isfinite(value) or not lowest <= value <= highest:
        raise UsageError(f"{what} {value}", expected=f"{lowest} to {highest}", action="ask for another protocol")
