# SPDX-License-Identifier: Apache-2.0
"""Measurements as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgectl.cli.output import Table
from edgectl.cli.text import milliseconds_text, size_text

if TYPE_CHECKING:
    from edgectl.lab.comparison import Comparison
    from edgectl.lab.measurement import Measurement
    from edgectl.lab.periodic import Distribution, PeriodicRun


def measurement_table(measured: Measurement, *, title: str) -> Table:
    """A measurement's figures, one to a row."""
    unit = measured.unit
    latencies = (("p50", measured.p50), ("p90", measured.p90), ("p95", measured.p95), ("p99", measured.p99))
    low, high = measured.p50_interval
    quality = f"{measured.quality}: {measured.quality_reason}" if measured.quality_reason else measured.quality
    undelegated = measured.provenance.get("undelegated")
    return Table(
        ("figure", "value"),
        (
            *((name, _latency(value, unit)) for name, value in latencies),
            ("p50, 95 % interval", f"{milliseconds_text(low)} to {milliseconds_text(high)} {unit}"),
            *_reference_rows(measured),
            ("cold load", f"{milliseconds_text(measured.load_ms)} ms, median of {len(measured.loads_ms)}"),
            *_memory_rows(measured.memory.document()),
            ("samples", f"{len(measured.samples)} in {len(measured.block_sizes)} blocks, protocol {measured.protocol}"),
            ("attempts", str(len(measured.attempts))),
            *((("outside the delegate", ", ".join(undelegated)),) if undelegated else ()),
            ("quality", quality),
        ),
        title=title,
    )


def repeats_table(runs: Sequence[Measurement], *, title: str) -> Table:
    """One run to a row, and what they have in common below them."""
    return Table(
        (">run", ">p50", ">p90", ">to the reference", ">attempts", "quality"),
        tuple(
            (
                str(number),
                _latency(run.p50, run.unit),
                _latency(run.p90, run.unit),
                f"{run.reference.ratio:.4f}" if run.reference else "-",
                str(len(run.attempts)),
                f"{run.quality}: {run.quality_reason}" if run.quality_reason else run.quality,
            )
            for number, run in enumerate(runs, 1)
        ),
        title=title,
    )


def comparison_table(found: Comparison, *, earlier: str) -> Table:
    """The ratio to an earlier measurement."""
    verdict = "the intervals are apart" if found.distinct else "no difference: the intervals overlap"
    rows = [("p50 over the earlier p50", f"{found.ratio:.4f}"), ("verdict", verdict)]
    if found.relative is not None:
        rows.insert(1, ("both in units of the reference model", f"{found.relative:.4f}"))
    return Table(("figure", "value"), tuple(rows), title=f"against {earlier}")


def periodic_table(run: PeriodicRun, *, title: str) -> Table:
    """What a run at a fixed rate gave, one figure to a row."""
    load = run.load
    share = f"{run.missed / run.releases:.2%}"
    return Table(
        ("figure", "value"),
        (
            ("rate", f"{load.rate_hz:g} a second for {load.seconds:g} s"),
            ("deadline", f"{load.deadline_ms:g} ms"),
            ("missed", f"{run.missed} of {run.releases} releases ({share}), {run.skipped} of them never started"),
            ("response", _distribution(run.response)),
            ("execute", _distribution(run.execute)),
            ("late start", _distribution(run.lateness)),
            ("jitter", _interval(run.jitter_ms)),
            ("longest gap", _interval(run.longest_gap_ms)),
            *_memory_rows(run.memory.document()),
        ),
        title=title,
    )


def _reference_rows(measured: Measurement) -> tuple[tuple[str, str], ...]:
    if measured.reference is None:
        return ()
    reference = measured.reference
    return (
        ("reference model", _latency(reference.p50, measured.unit)),
        ("in units of it", f"{reference.ratio:.4f}"),
    )


def _memory_rows(memory: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    anonymous = memory["load_anonymous_bytes"]
    part = f", {size_text(anonymous)} of it its own" if anonymous else ""
    return (
        ("program", size_text(memory["program_bytes"])),
        ("planned memory", size_text(memory["planned_bytes"])),
        ("resident after load", size_text(memory["load_rss_bytes"]) + part),
        ("resident at most", size_text(memory["peak_rss_bytes"])),
    )


def _latency(value: float | None, unit: str) -> str:
    return f"{milliseconds_text(value)} {unit}" if value is not None else "too few samples"


def _interval(value: float | None) -> str:
    return f"{milliseconds_text(value)} ms" if value is not None else "a single start has none"


def _distribution(values: Distribution) -> str:
    named = (("p50", values.p50), ("p95", values.p95), ("p99", values.p99), ("max", values.max))
    return ", ".join(f"{name} {milliseconds_text(value)}" for name, value in named if value is not None) + " ms"
