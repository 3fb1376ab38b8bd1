# SPDX-License-Identifier: Apache-2.0
"""A program driven at a fixed rate: deadlines missed, jitter, the longest gap. docs/measurement.md defines them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from edgectl_protos.errors import UsageError

from edgectl.lab.measurement import MemoryFigures

MAX_RELEASES = 1 << 20


@dataclass(frozen=True, slots=True)
class PeriodicLoad:
    """A release each 1 / `rate_hz` seconds for `seconds`; its result is due `deadline_ms` after it.

    Raises:
        UsageError: a figure is out of range.
    """

    rate_hz: float
    seconds: float
    deadline_ms: float

    def __post_init__(self) -> None:
        for what, value, lowest, highest in (
            ("rate", self.rate_hz, 0.01, 10_000.0),
            ("time in seconds", self.seconds, 0.1, 3_600.0),
            ("deadline in ms", self.deadline_ms, 0.001, 3_600_000.0),
            ("number of releases", self.rate_hz * self.seconds, 1.0, float(MAX_RELEASES)),
        ):
            if not math.isfinite(value) or not lowest <= value <= highest:
                raise UsageError(f"a {what} of {value:g}", expected=f"{lowest:g} to {highest:g}", action="change it")


@dataclass(frozen=True, slots=True)
class PeriodicWindow:
    """About a second of the run; the response is from a release to its result."""

    index: int
    releases: int
    missed: int
    skipped: int
    response_p50_ms: float
    response_max_ms: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """Milliseconds; p95 is None below 200 values, p99 below 1,000."""

    p50: float
    p90: float
    p95: float | None
    p99: float | None
    max: float


@dataclass(frozen=True, slots=True)
class PeriodicFigures:
    """The whole run. `missed` counts results later than the deadline, and releases that were `skipped`.

    Jitter is None where fewer than two releases were started, the gap where none was executed.
    """

    releases: int
    executed: int
    skipped: int
    missed: int
    response: Distribution
    execute: Distribution
    lateness: Distribution
    jitter_ms: float | None
    longest_gap_ms: float | None
    memory: MemoryFigures
    load_ms: float


@dataclass(frozen=True, slots=True)
class PeriodicRun:
    """A run at a fixed rate with its provenance."""

    load: PeriodicLoad
    figures: PeriodicFigures
    device: str
    bundle_digest: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        figures = self.figures
        return {
            "unit": "ms",
            "rate_hz": self.load.rate_hz,
            "seconds": self.load.seconds,
            "deadline_ms": self.load.deadline_ms,
            "releases": figures.releases,
            "executed": figures.executed,
            "skipped": figures.skipped,
            "missed": figures.missed,
            "missed_share": figures.missed / figures.releases,
            "response": asdict(figures.response),
            "execute": asdict(figures.execute),
            "lateness": asdict(figures.lateness),
            "jitter_ms": figures.jitter_ms,
            "longest_gap_ms": figures.longest_gap_ms,
            "memory": figures.memory.document(),
            "load_ms": figures.load_ms,
            "device": self.device,
            "bundle_digest": self.bundle_digest,
            "provenance": self.provenance,
        }
