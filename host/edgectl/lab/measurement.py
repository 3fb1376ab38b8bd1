# SPDX-License-Identifier: Apache-2.0
"""A measurement is a value with its provenance. Pure: samples in, figures out; nothing is dropped, nothing invented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any, Literal

from edgectl_protos.errors import RunnerError
from edgectl_protos.quantiles import quantile

P95_SAMPLES = 200
P99_SAMPLES = 1_000
VARIATION_LIMIT = 0.03
"""Coefficient of variation of the block medians above which a measurement is degraded."""

Quality = Literal["ok", "degraded"]


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Bytes: the file, the planned arenas, resident after load, and the highest ever resident, loading included."""

    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int
    peak_rss_bytes: int

    def document(self) -> dict[str, int]:
        return {
            "program_bytes": self.program_bytes,
            "planned_bytes": self.planned_bytes,
            "load_rss_bytes": self.load_rss_bytes,
            "peak_rss_bytes": self.peak_rss_bytes,
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """Latency of one program on one device.

    `samples` are all timed runs in order, `block_sizes` says how they fall into blocks. p95 is None below 200 samples,
    p99 below 1,000: fewer do not resolve them.
    """

    samples: tuple[float, ...]
    block_sizes: tuple[int, ...]
    p50: float
    p90: float
    p95: float | None
    p99: float | None
    memory: MemoryFigures
    load_ms: float
    quality: Quality
    quality_reason: str
    device: str
    bundle_digest: str
    protocol: str
    provenance: dict[str, Any] = field(default_factory=dict)
    unit: str = "ms"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "unit": self.unit,
            "samples": list(self.samples),
            "block_sizes": list(self.block_sizes),
            "p50": self.p50,
            "p90": self.p90,
            "p95": self.p95,
            "p99": self.p99,
            "memory": self.memory.document(),
            "load_ms": self.load_ms,
            "quality": self.quality,
            "quality_reason": self.quality_reason,
            "device": self.device,
            "bundle_digest": self.bundle_digest,
            "protocol": self.protocol,
            "provenance": self.provenance,
        }


def summarize(
    blocks: Sequence[Sequence[float]],
    *,
    memory: MemoryFigures,
    load_ms: float,
    device: str,
    bundle_digest: str,
    protocol: str,
    provenance: dict[str, Any],
    unit: str = "ms",
) -> Measurement:
    """The measurement made of `blocks` of samples.

    Raises:
        RunnerError: a block is empty, there is none, or a sample is no positive finite number.
    """
    if not blocks or not all(blocks):
        raise RunnerError(
            f"block {next((index for index, block in enumerate(blocks) if not block), 0)} has no samples",
            expected="at least one timed run in each block",
            action="run the benchmark again; see the agent's log on the device",
        )
    samples = tuple(value for block in blocks for value in block)
    wrong = [value for value in samples if not math.isfinite(value) or value <= 0]
    if wrong:
        raise RunnerError(
            f"a sample of {wrong[0]} {unit}", expected="a positive number", action="update the agent on the device"
        )
    ordered = sorted(samples)
    quality, reason = judge(blocks)
    return Measurement(
        samples=samples,
        block_sizes=tuple(len(block) for block in blocks),
        p50=quantile(ordered, 0.50),
        p90=quantile(ordered, 0.90),
        p95=quantile(ordered, 0.95) if len(ordered) >= P95_SAMPLES else None,
        p99=quantile(ordered, 0.99) if len(ordered) >= P99_SAMPLES else None,
        memory=memory,
        load_ms=load_ms,
        quality=quality,
        quality_reason=reason,
        device=device,
        bundle_digest=bundle_digest,
        protocol=protocol,
        provenance=provenance,
        unit=unit,
    )


def judge(blocks: Sequence[Sequence[float]]) -> tuple[Quality, str]:
    """Whether the blocks agree, and why not where they do not; the reason is empty for "ok"."""
    if len(blocks) < 2:
        return "degraded", "one block: its variation cannot be judged"
    medians = [quantile(sorted(block), 0.5) for block in blocks]
    variation = stdev(medians) / mean(medians)
    if variation <= VARIATION_LIMIT:
        return "ok", ""
    spread = f"from {min(medians):.4g} to {max(medians):.4g}"
    limit = f"limit {VARIATION_LIMIT:.0%}"
    return "degraded", f"the block medians vary by {variation:.1%} ({limit}), {spread}: something else ran beside it"
