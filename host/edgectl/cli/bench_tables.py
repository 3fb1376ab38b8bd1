# SPDX-License-Identifier: Apache-2.0
"""Measurements as tables for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgectl_protos.errors import EdgectlError

from edgectl.cli.output import Table
from edgectl.cli.text import milliseconds_text, size_text

if TYPE_CHECKING:
    from edgectl.lab.comparison import Comparison
    from edgectl.lab.measurement import Measurement, MemoryFigures
    from edgectl.lab.periodic import Distribution, PeriodicRun
    from edgectl.lab.repeats import Repeats


def figure_text(value: float | None, unit: str) -> str:
    """A measured figure with its unit: `4.213 ms`, `12,865,639 insn`."""
    if value is None:
        return "too few samples"
    if unit != "insn":
        return f"{milliseconds_text(value)} {unit}"
    return f"{value:,.0f} {unit}" if value.is_integer() else f"{value:,.1f} {unit}"


def measurement_table(measured: Measurement, *, title: str) -> Table:
    """A measurement's figures, one to a row."""
    if measured.unit == "insn":
        return _counted_table(measured, title=title)
    unit = measured.unit
    latencies = (("p50", measured.p50), ("p90", measured.p90), ("p95", measured.p95), ("p99", measured.p99))
    low, high = measured.p50_interval
    quality = f"{measured.quality}: {measured.quality_reason}" if measured.quality_reason else measured.quality
    undelegated = measured.provenance.get("undelegated")
    return Table(
        ("figure", "value"),
        (
            *((name, figure_text(value, unit)) for name, value in latencies),
            ("p50, 95 % interval", f"{milliseconds_text(low)} to {milliseconds_text(high)} {unit}"),
            *_reference_rows(measured),
            ("cold load", f"{milliseconds_text(measured.load_ms)} ms, median of {len(measured.loads_ms)}"),
            *_memory_rows(measured.memory),
            ("samples", f"{len(measured.samples)} in {len(measured.block_sizes)} blocks, protocol {measured.protocol}"),
            ("attempts", str(len(measured.attempts))),
            *((("outside the delegate", ", ".join(undelegated)),) if undelegated else ()),
            ("quality", quality),
        ),
        title=title,
    )


def _counted_table(measured: Measurement, *, title: str) -> Table:
    """Instructions for one inference: no times, and no memory but what the program itself states."""
    low, high = min(measured.samples), max(measured.samples)
    counts = f"{len(measured.samples)}, " + ("all alike" if low == high else f"{low:,.1f} to {high:,.1f}")
    device = measured.provenance.get("device", {})
    undelegated = measured.provenance.get("undelegated")
    return Table(
        ("figure", "value"),
        (
            ("instructions an inference", figure_text(measured.p50, measured.unit)),
            ("counts", counts),
            ("emulated", f"by {device.get('emulator')}, with kernels for {device.get('core')}"),
            *_memory_rows(measured.memory),
            *((("outside the delegate", ", ".join(undelegated)),) if undelegated else ()),
            ("quality", f"{measured.quality}: {measured.quality_reason}" if measured.quality_reason else "ok"),
        ),
        title=title,
    )


def repeats_table(repeats: Repeats, *, title: str) -> Table:
    """One run to a row."""
    columns = (">run", ">p50", ">p90", ">to the reference", ">attempts", "quality")
    return Table(columns, tuple(_repeat_row(number, run) for number, run in enumerate(repeats.runs, 1)), title=title)


def repeats_line(repeats: Repeats) -> str:
    """How many were accepted, and how far these lie apart."""
    counted = f"{len(repeats.accepted)} of {len(repeats.runs)} accepted"
    if repeats.failed:
        counted += f", {len(repeats.failed)} failed"
    if repeats.p50_spread is None:
        return counted
    line = f"{counted}; their p50 within {repeats.p50_spread:.1%}"
    ratio = repeats.ratio_spread
    return line if ratio is None else f"{line}, in units of the reference model within {ratio:.1%}"


def _repeat_row(number: int, run: Measurement | EdgectlError) -> tuple[str, ...]:
    if isinstance(run, EdgectlError):
        return (str(number), "-", "-", "-", "-", f"failed: {run.seen}")
    return (
        str(number),
        figure_text(run.p50, run.unit),
        figure_text(run.p90, run.unit),
        f"{run.reference.ratio:.4f}" if run.reference else "-",
        str(len(run.attempts)),
        f"{run.quality}: {run.quality_reason}" if run.quality_reason else run.quality,
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
    load, figures = run.load, run.figures
    share = f"{figures.missed / figures.releases:.2%}"
    return Table(
        ("figure", "value"),
        (
            ("rate", f"{load.rate_hz:g} a second for {load.seconds:g} s"),
            ("deadline", f"{load.deadline_ms:g} ms"),
            (
                "missed",
                f"{figures.missed} of {figures.releases} releases ({share}), {figures.skipped} of them never started",
            ),
            ("response", _distribution(figures.response)),
            ("execute", _distribution(figures.execute)),
            ("late start", _distribution(figures.lateness)),
            ("jitter", _interval(figures.jitter_ms)),
            ("longest gap", _interval(figures.longest_gap_ms)),
            *_memory_rows(figures.memory),
        ),
        title=title,
    )


def _reference_rows(measured: Measurement) -> tuple[tuple[str, str], ...]:
    if measured.reference is None:
        return ()
    reference = measured.reference
    return (
        ("reference model", figure_text(reference.p50, measured.unit)),
        ("in units of it", f"{reference.ratio:.4f}"),
    )


def _memory_rows(memory: MemoryFigures) -> tuple[tuple[str, str], ...]:
    anonymous = memory.load_anonymous_bytes
    part = f", {size_text(anonymous)} of it its own" if anonymous else ""
    return (
        ("program", size_text(memory.program_bytes)),
        ("planned memory", size_text(memory.planned_bytes)),
        ("resident after load", _resident(memory.load_rss_bytes) + part),
        ("resident at most", _resident(memory.peak_rss_bytes)),
    )


def _resident(size: int | None) -> str:
    return "unavailable: the emulator's own" if size is None else size_text(size)


def _interval(value: float | None) -> str:
    return f"{milliseconds_text(value)} ms" if value is not None else "a single start has none"


def _distribution(values: Distribution) -> str:
    named = (("p50", values.p50), ("p95", values.p95), ("p99", values.p99), ("max", values.max))
    return ", ".join(f"{name} {milliseconds_text(value)}" for name, value in named if value is not None) + " ms"
