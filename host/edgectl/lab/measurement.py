# SPDX-License-Identifier: Apache-2.0
"""A measurement is a value with its provenance. Pure: samples in, figures out; nothing is dropped, nothing invented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edgectl_protos.errors import RunnerError
from edgectl_protos.quantiles import quantile

P95_SAMPLES = 200
P99_SAMPLES = 1_000

Quality = Literal["ok", "degraded"]
Blocks = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Bytes: the file, the planned arenas, resident after load, and the highest ever resident, loading included.

    `load_anonymous_bytes` is the part of what is resident after load that the kernel cannot take back; None where the
    device does not tell. What is resident is None where only the runner is emulated: it would be the emulator's.
    """

    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int | None
    peak_rss_bytes: int | None
    load_anonymous_bytes: int | None = None

    def document(self) -> dict[str, int | None]:
        """As JSON: the four figures; the anonymous part stands beside them."""
        return {
            "program_bytes": self.program_bytes,
            "planned_bytes": self.planned_bytes,
            "load_rss_bytes": self.load_rss_bytes,
            "peak_rss_bytes": self.peak_rss_bytes,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """Blocks of samples as they were taken, and why they were not accepted (nothing where they were).

    `reference` holds the reference model's blocks before, between and after those of the candidate, or none.
    """

    candidate: Blocks
    reference: Blocks
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference model beside the candidate: its median, and the candidate's median in units of it.

    The ratio repeats better than milliseconds on a board that others use too, and compares boards of one class.
    """

    p50: float
    ratio: float
    digest: str

    def document(self) -> dict[str, Any]:
        return {"p50": self.p50, "ratio": self.ratio, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one inference of a program takes on one device: milliseconds, or instructions (`unit` "insn").

    `samples` are all timed runs of the chosen attempt in order, `block_sizes` says how they fall into blocks. p95 is
    None below 200 samples, p99 below 1,000: fewer do not resolve them. `p50_interval` is the 95 % interval of p50.
    `load_ms` is the median of `loads_ms`, each of which was a fresh process; None where nothing was timed.
    """

    samples: tuple[float, ...]
    block_sizes: tuple[int, ...]
    p50: float
    p90: float
    p95: float | None
    p99: float | None
    p50_interval: tuple[float, float]
    reference: Reference | None
    memory: MemoryFigures
    load_ms: float | None
    loads_ms: tuple[float, ...]
    quality: Quality
    quality_reason: str
    attempts: tuple[tuple[str, ...], ...]
    device: str
    bundle_digest: str
    protocol: str
    provenance: dict[str, Any] = field(default_factory=dict)
    unit: str = "ms"

    def document(self) -> dict[str, Any]:
        """As JSON; `attempts` lists the reasons against each attempt, in order."""
        return {
            "unit": self.unit,
            "samples": [self._figure(sample) for sample in self.samples],
            "block_sizes": list(self.block_sizes),
            "p50": self._figure(self.p50),
            "p90": self._figure(self.p90),
            "p95": self.p95,
            "p99": self.p99,
            "p50_interval": [self._figure(bound) for bound in self.p50_interval],
            "reference": self.reference.document() if self.reference else None,
            "memory": self.memory.document(),
            "load_anonymous_bytes": self.memory.load_anonymous_bytes,
            "load_ms": self.load_ms,
            "loads_ms": list(self.loads_ms),
            "quality": self.quality,
            "quality_reason": self.quality_reason,
            "attempts": [list(reasons) for reasons in self.attempts],
            "device": self.device,
            "bundle_digest": self.bundle_digest,
            "protocol": self.protocol,
            "provenance": self.provenance,
        }

    def _figure(self, value: float) -> float:
        """A number of instructions as a whole one, where it is."""
        return int(value) if self.unit == "insn" and value.is_integer() else value


def summarize(
    attempts: Sequence[Attempt],
    chosen: int,
    *,
    memory: MemoryFigures,
    loads_ms: Sequence[float],
    device: str,
    bundle_digest: str,
    protocol: str,
    provenance: dict[str, Any],
    reference_digest: str = "",
    unit: str = "ms",
) -> Measurement:
    """The measurement made of the chosen attempt.

    Raises:
        RunnerError: there is no such attempt, one of its blocks is empty, or a sample is no positive finite number.
    """
    from edgectl.lab.bootstrap import median_interval

    if not 0 <= chosen < len(attempts):
        raise _unusable(f"attempt {chosen} of {len(attempts)}", "one that was sent")
    attempt = attempts[chosen]
    samples = _pooled(attempt.candidate, unit)
    ordered = sorted(samples)
    p50 = quantile(ordered, 0.50)
    return Measurement(
        samples=samples,
        block_sizes=tuple(len(block) for block in attempt.candidate),
        p50=p50,
        p90=quantile(ordered, 0.90),
        p95=quantile(ordered, 0.95) if len(ordered) >= P95_SAMPLES else None,
        p99=quantile(ordered, 0.99) if len(ordered) >= P99_SAMPLES else None,
        p50_interval=median_interval(attempt.candidate),
        reference=_reference(attempt, reference_digest, unit),
        memory=memory,
        load_ms=quantile(sorted(loads_ms), 0.5) if loads_ms else None,
        loads_ms=tuple(loads_ms),
        quality="degraded" if attempt.reasons else "ok",
        quality_reason="; ".join(attempt.reasons),
        attempts=tuple(entry.reasons for entry in attempts),
        device=device,
        bundle_digest=bundle_digest,
        protocol=protocol,
        provenance=provenance,
        unit=unit,
    )


def _reference(attempt: Attempt, digest: str, unit: str) -> Reference | None:
    """Each block of the candidate over the mean of the reference's blocks beside it; the median of these ratios."""
    if not attempt.reference:
        return None
    if len(attempt.reference) != len(attempt.candidate) + 1:
        raise _unusable(f"{len(attempt.reference)} blocks of the reference model", f"{len(attempt.candidate) + 1}")
    pooled = _pooled(attempt.reference, unit)
    beside = [_median(block) for block in attempt.reference]
    ratios = [2 * _median(block) / (beside[index] + beside[index + 1]) for index, block in enumerate(attempt.candidate)]
    return Reference(
        p50=quantile(sorted(pooled), 0.5),
        ratio=quantile(sorted(ratios), 0.5),
        digest=digest,
    )


def _pooled(blocks: Blocks, unit: str) -> tuple[float, ...]:
    if not blocks or not all(blocks):
        empty = next((index for index, block in enumerate(blocks) if not block), 0)
        raise _unusable(f"block {empty} has no samples", "at least one timed run in each block")
    samples = tuple(value for block in blocks for value in block)
    wrong = [value for value in samples if not math.isfinite(value) or value <= 0]
    if wrong:
        raise _unusable(f"a sample of {wrong[0]} {unit}", "a positive number")
    return samples


def _median(block: tuple[float, ...]) -> float:
    return quantile(sorted(block), 0.5)


def _unusable(seen: str, expected: str) -> RunnerError:
    return RunnerError(seen, expected=expected, action="run the benchmark again; see the agent's log on the device")
