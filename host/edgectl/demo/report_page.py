# SPDX-License-Identifier: Apache-2.0
"""`report.html`: one file with everything inline, from the outcome and its document."""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from typing import Any

from edgectl.demo.charts import Series, cumulative, line_chart
from edgectl.demo.outcome import DemoOutcome, memory_series

# What decides which kernels run: a speed-up is not told without them.
X86_FEATURES = ("sse4_1", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8")
ARM_FEATURES = ("asimd", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve")


def render_page(outcome: DemoOutcome, *, front: str) -> str:
    """The whole page; `front` is the HTML fragment of the search's Pareto front."""
    from jinja2 import Environment, StrictUndefined

    document = outcome.document()
    _add_shares(document["stages"])
    template = resources.files("edgectl.demo").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        report=document,
        headline=_headline(outcome),
        features=[name for name in outcome.device.cpu_features if name in X86_FEATURES + ARM_FEATURES],
        measurements=[(name, document[name]["measurement"]) for name in ("baseline", "compressed")],
        latency_chart=_latency_chart(outcome),
        telemetry_chart=line_chart(
            [Series(name, points) for name, points in memory_series(outcome.heard)],
            x_label="seconds since the first record",
            y_label="memory, MiB",
        ),
        front=front,
        provenance=_provenance(outcome),
    )


def _headline(outcome: DemoOutcome) -> dict[str, float]:
    baseline, compressed = outcome.stages[0], outcome.stages[-1]
    drop = compressed.pooled.drop
    return {
        "size_ratio": baseline.program_bytes / compressed.program_bytes,
        "speed_ratio": baseline.measurement.p50 / compressed.measurement.p50,
        "accuracy_change": 100 * (compressed.pooled.accuracy - baseline.pooled.accuracy),
        "drop_bound": 0.0 if drop is None else 100 * drop.upper_bound,
        "int8_ratio": baseline.program_bytes / outcome.int8_same_architecture_bytes,
    }


def _add_shares(stages: list[dict[str, Any]]) -> None:
    """How long the bars of the table are, in percent of the longest."""
    for key, share in (("program_bytes", "program_share"), ("p50_ms", "latency_share")):
        longest = max(stage[key] for stage in stages)
        for stage in stages:
            stage[share] = round(100 * stage[key] / longest)


def _latency_chart(outcome: DemoOutcome) -> str:
    ends = (outcome.stages[0], outcome.stages[-1])
    series = []
    for stage in ends:
        samples = sorted(1000 * sample for sample in stage.measurement.samples)
        shown = samples[: max(1, round(0.99 * len(samples)))]
        series.append(Series(f"{stage.pooled.name}, {len(samples)} runs", cumulative(shown)))
    return line_chart(series, x_label="latency, µs (the slowest 1 % left out)", y_label="runs at or below, %")


def _provenance(outcome: DemoOutcome) -> list[tuple[str, str]]:
    device = outcome.device
    facts = {
        "deployed bundle": f"sha256 {outcome.deployed.digest}",
        "golden outputs, largest error": f"{outcome.deployed.golden_max_abs_error:.3g}",
        "kernel": device.kernel,
        "agent": f"{device.agent_version}, {device.runtime}",
        "protocol": ", ".join(f"{key} {value}" for key, value in asdict(outcome.protocol).items()),
        **outcome.versions,
    }
    readings = outcome.stages[-1].measurement.provenance.get("evidence", {})
    facts |= {name: _reading(value) for name, value in readings.items()}
    return list(facts.items())


def _reading(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {text}" for key, text in value.items())
    return str(value)
