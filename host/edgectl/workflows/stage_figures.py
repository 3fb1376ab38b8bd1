# SPDX-License-Identifier: Apache-2.0
"""The figures of one stage, those of its lowered program among them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgectl.compress.pipeline import StageResult
    from edgectl.lab.measurement import Measurement
    from edgectl.lower.delegation import DelegationReport
    from edgectl.lower.program import LoweredProgram

_OF_A_TIME = ("p50_ms", "p95_ms", "insn", "peak_bytes", "seconds", "untimed")


@dataclass(frozen=True, slots=True)
class StageFigures:
    """What came of a stage; `seconds` is training and lowering.

    `accuracy` is None where the evaluation gives no metric of that name. `download_bytes` is the program as a bundle
    carries it, compressed. Latency and peak memory are None without a device, and where the device would not time the
    program; `untimed` then says why. An emulated board counts instructions for one inference instead: `insn`, None
    everywhere else.
    """

    name: str
    accuracy: float | None
    parameters: int
    macs: int
    program_bytes: int
    delegation: DelegationReport
    seconds: float
    p50_ms: float | None = None
    notes: tuple[str, ...] = ()
    untimed: str = ""
    insn: float | None = None
    nonzeros: int = 0
    download_bytes: int = 0
    planned_bytes: int | None = None
    p95_ms: float | None = None
    peak_bytes: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "accuracy": self.accuracy,
            "metrics": dict(self.metrics),
            "per_class": dict(self.per_class),
            "parameters": self.parameters,
            "nonzeros": self.nonzeros,
            "macs": self.macs,
            "program_bytes": self.program_bytes,
            "download_bytes": self.download_bytes,
            "planned_bytes": self.planned_bytes,
            "peak_bytes": self.peak_bytes,
            "p50_ms": self.p50_ms,
            "p95_ms": self.p95_ms,
            "insn": self.insn,
            "delegated_fraction": self.delegation.fraction,
            "delegated": dict(self.delegation.delegated),
            "undelegated": dict(self.delegation.undelegated),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "untimed": self.untimed,
        }

    def timeless(self) -> dict[str, Any]:
        """Without what differs from run to run: in a bundle it would give equal programs different digests."""
        return {key: value for key, value in self.document().items() if key not in _OF_A_TIME}

    def by_metric(self) -> dict[str, float | None]:
        """Every figure that a goal may be about."""
        names = ("parameters", "nonzeros", "macs", "program_bytes", "download_bytes", "planned_bytes", "peak_bytes")
        figures = {name: getattr(self, name) for name in (*names, "p50_ms", "p95_ms", "insn")}
        return {**self.metrics, **figures}

    def measured(self, measurement: Measurement) -> StageFigures:
        """With what a device found."""
        if measurement.unit == "insn":
            return replace(self, insn=measurement.p50)
        peak = measurement.memory.peak_rss_bytes
        return replace(self, p50_ms=measurement.p50, p95_ms=measurement.p95, peak_bytes=peak)


def stage_figures(result: StageResult, program: LoweredProgram) -> StageFigures:
    """The figures of a stage and its program, before a device has seen it."""
    return StageFigures(
        name=result.name,
        accuracy=result.accuracy,
        parameters=result.parameters,
        macs=result.macs,
        program_bytes=len(program.data),
        delegation=program.delegation,
        seconds=result.seconds + program.seconds,
        notes=result.notes,
        nonzeros=result.nonzeros,
        download_bytes=len(zlib.compress(program.data, 6)),
        planned_bytes=None if program.memory is None else program.memory.planned_bytes,
        metrics=dict(result.metrics),
        per_class=dict(result.per_class),
    )
