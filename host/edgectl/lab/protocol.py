# SPDX-License-Identifier: Apache-2.0
"""How a program is timed, as data with a name: two figures may be compared only where the protocol is the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

# No wider than what an agent accepts.
MAX_BLOCKS = 1_000
MAX_RUNS = 1_000_000
MAX_SECONDS = 600.0
MAX_LEAST_SECONDS = 3_600.0


def _check(what: str, value: float, *, least: float, most: float) -> None:
    if not math.isfinite(value) or not least <= value <= most:
        raise UsageError(f"{what} {value}", expected=f"{least:g} to {most:g}", action="change the measurement protocol")


@dataclass(frozen=True, slots=True)
class MeasurementProtocol:
    """Warm up for at least `warmup_seconds` and `warmup_runs`; then each block lasts at least both of its limits."""

    name: str
    warmup_seconds: float
    warmup_runs: int
    blocks: int
    block_runs: int
    block_seconds: float

    def __post_init__(self) -> None:
        _check("warmup_seconds", self.warmup_seconds, least=0, most=MAX_SECONDS)
        _check("warmup_runs", self.warmup_runs, least=0, most=MAX_RUNS)
        _check("blocks", self.blocks, least=1, most=MAX_BLOCKS)
        _check("block_runs", self.block_runs, least=1, most=MAX_RUNS)
        _check("block_seconds", self.block_seconds, least=0, most=MAX_SECONDS)
        _check("warmup_seconds plus blocks times block_seconds", self.least_seconds, least=0, most=MAX_LEAST_SECONDS)
        _check("blocks times block_runs", self.blocks * self.block_runs, least=1, most=MAX_RUNS)

    @property
    def least_seconds(self) -> float:
        """It cannot take less than this."""
        return self.warmup_seconds + self.blocks * self.block_seconds


SHORT = MeasurementProtocol("short", warmup_seconds=0.1, warmup_runs=5, blocks=3, block_runs=100, block_seconds=0.1)
STANDARD = MeasurementProtocol(
    "standard", warmup_seconds=0.5, warmup_runs=10, blocks=5, block_runs=40, block_seconds=0.3
)

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
