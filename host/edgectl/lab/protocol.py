# SPDX-License-Identifier: Apache-2.0
"""How a program is measured, as data with a name: two figures may be compared only where the protocol is the same."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

# No wider than what an agent accepts.
MAX_ATTEMPTS = 10
MAX_BLOCKS = 1_000
MAX_RUNS = 1_000_000
MAX_SECONDS = 600.0
MAX_LEAST_SECONDS = 3_600.0
MAX_COUNTS = 100
MAX_COUNTED_RUNS = 100_000


def _check(what: str, value: float, *, least: float, most: float) -> None:
    if not math.isfinite(value) or not least <= value <= most:
        raise UsageError(f"{what} {value}", expected=f"{least:g} to {most:g}", action="change the measurement protocol")


@dataclass(frozen=True, slots=True)
class MeasurementProtocol:
    """Warm up for at least `warmup_seconds` and `warmup_runs` and until the times are stable; then blocks.

    Each block lasts at least both of its limits. With `max_drift` above 0 blocks alternate with blocks of the agent's
    reference model. An attempt is accepted where its block medians vary by `max_variation` at most (coefficient of
    variation) and the reference drifted by `max_drift` at most; else there are up to `attempts` of them, with
    `cooldown_seconds` between. `time_limit_seconds` is for all of it; 0 leaves it to the agent.
    """

    name: str
    warmup_seconds: float
    warmup_runs: int
    blocks: int
    block_runs: int
    block_seconds: float
    max_variation: float = 0.03
    max_drift: float = 0.02
    attempts: int = 1
    cooldown_seconds: float = 0.0
    time_limit_seconds: float = 0.0

    unit: ClassVar[str] = "ms"

    def __post_init__(self) -> None:
        _check("warmup_seconds", self.warmup_seconds, least=0, most=MAX_SECONDS)
        _check("warmup_runs", self.warmup_runs, least=0, most=MAX_RUNS)
        _check("blocks", self.blocks, least=1, most=MAX_BLOCKS)
        _check("block_runs", self.block_runs, least=1, most=MAX_RUNS)
        _check("block_seconds", self.block_seconds, least=0, most=MAX_SECONDS)
        _check("max_variation", self.max_variation, least=0, most=1)
        _check("max_drift", self.max_drift, least=0, most=1)
        _check("attempts", self.attempts, least=1, most=MAX_ATTEMPTS)
        _check("cooldown_seconds", self.cooldown_seconds, least=0, most=MAX_SECONDS)
        _check("time_limit_seconds", self.time_limit_seconds, least=0, most=2 * MAX_LEAST_SECONDS)
        _check("the least time of all attempts", self.least_seconds, least=0, most=MAX_LEAST_SECONDS)
        _check("blocks times block_runs times attempts", self._least_runs, least=1, most=MAX_RUNS)

    @property
    def least_seconds(self) -> float:
        """How long it takes where every attempt is needed, however fast the program is."""
        models = 2 if self.max_drift else 1
        attempt = models * self.blocks * self.block_seconds
        return models * self.warmup_seconds + self.attempts * attempt + (self.attempts - 1) * self.cooldown_seconds

    @property
    def _least_runs(self) -> int:
        return self.blocks * self.block_runs * self.attempts

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InstructionProtocol:
    """Instructions for one inference, on an emulated board at one thread: `counts` times the difference of two lengths.

    Each count is what a fresh process of `long_runs` runs executes more than one of `short_runs`, over the difference:
    loading and the first runs are in both, and cancel out.
    """

    name: str
    counts: int
    short_runs: int
    long_runs: int
    time_limit_seconds: float = 0.0

    unit: ClassVar[str] = "insn"

    def __post_init__(self) -> None:
        _check("counts", self.counts, least=1, most=MAX_COUNTS)
        _check("short_runs", self.short_runs, least=1, most=MAX_COUNTED_RUNS - 1)
        _check("long_runs", self.long_runs, least=self.short_runs + 1, most=MAX_COUNTED_RUNS)
        _check("time_limit_seconds", self.time_limit_seconds, least=0, most=2 * MAX_LEAST_SECONDS)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


AnyProtocol = MeasurementProtocol | InstructionProtocol
"""How a device measures one inference; its `unit` says in what."""

SHORT = MeasurementProtocol(
    "short", warmup_seconds=0.1, warmup_runs=5, blocks=3, block_runs=100, block_seconds=0.1, attempts=2
)
STANDARD = MeasurementProtocol(
    "standard",
    warmup_seconds=0.5,
    warmup_runs=10,
    blocks=5,
    block_runs=40,
    block_seconds=0.3,
    attempts=4,
    cooldown_seconds=1.0,
)
COUNTED = InstructionProtocol("counted", counts=2, short_runs=2, long_runs=4)
"""Two counts show whether they are alike; an emulated inference is slow, so the lengths are short."""

_PROTOCOLS = {entry.name: entry for entry in (SHORT, STANDARD)}


def protocol_names() -> tuple[str, ...]:
    return tuple(_PROTOCOLS)


def protocol(name: str) -> MeasurementProtocol:
    """The protocol of that name.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    if name not in _PROTOCOLS:
        raise UsageError(
            f"measurement protocol {name[:80]!r}", expected=describe_known(name, _PROTOCOLS), action="choose one"
        )
    return _PROTOCOLS[name]
