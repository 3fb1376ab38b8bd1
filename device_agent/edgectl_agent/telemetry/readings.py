# SPDX-License-Identifier: Apache-2.0
"""From what was seen to metrics: pure functions. What is unknown says why; it is never zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgectl_protos.errors import EdgectlError
from edgectl_protos.metrics import Metric, MetricName, Unavailable
from edgectl_protos.quantiles import quantile

from edgectl_agent.runner.models import ServingFigures

P95_SAMPLES = 20
"""With fewer, the 95th percentile is the maximum under another name."""

Reading = float | Unavailable


def runner_metrics(model: str, figures: ServingFigures) -> tuple[Metric, ...]:
    """The metrics of one model's runner."""
    stats = figures.stats
    starts = Metric(MetricName.RUNNER_STARTS, "count", float(figures.starts), model)
    if isinstance(stats, EdgectlError):
        gone = Unavailable(stats.seen)
        return starts, *(Metric(name, unit, gone, model) for name, unit in _RUNNER_UNITS.items())
    readings: dict[MetricName, Reading] = {
        MetricName.RUNNER_RSS: stats.rss_bytes,
        MetricName.RUNNER_ANONYMOUS: stats.anon_bytes,
        MetricName.RUNNER_PEAK_RSS: stats.peak_rss_bytes,
        MetricName.INFERENCES: stats.inferences,
        MetricName.INFERENCE_DROPPED: stats.latencies_dropped,
        **latency_readings(stats.latencies_us),
    }
    return starts, *(Metric(name, unit, _as_float(readings[name]), model) for name, unit in _RUNNER_UNITS.items())


def latency_readings(latencies_us: Sequence[float]) -> Mapping[MetricName, Reading]:
    """p50, p95 and maximum of those the runner kept since it was last asked, in microseconds."""
    ordered = sorted(latencies_us)
    if not ordered:
        none = Unavailable("no inference since the last sample")
        return {MetricName.INFERENCE_P50: none, MetricName.INFERENCE_P95: none, MetricName.INFERENCE_MAX: none}
    p95: Reading = Unavailable(f"{len(ordered)} inferences since the last sample, {P95_SAMPLES} are needed")
    if len(ordered) >= P95_SAMPLES:
        p95 = quantile(ordered, 0.95)
    return {
        MetricName.INFERENCE_P50: quantile(ordered, 0.5),
        MetricName.INFERENCE_P95: p95,
        MetricName.INFERENCE_MAX: ordered[-1],
    }


_RUNNER_UNITS = {
    MetricName.RUNNER_RSS: "bytes",
    MetricName.RUNNER_ANONYMOUS: "bytes",
    MetricName.RUNNER_PEAK_RSS: "bytes",
    MetricName.INFERENCES: "count",
    MetricName.INFERENCE_DROPPED: "count",
    MetricName.INFERENCE_P50: "us",
    MetricName.INFERENCE_P95: "us",
    MetricName.INFERENCE_MAX: "us",
}


def _as_float(reading: Reading) -> Reading:
    return reading if isinstance(reading, Unavailable) else float(reading)
