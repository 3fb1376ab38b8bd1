# SPDX-License-Identifier: Apache-2.0
"""Metrics from what was seen: what is unknown says why, and is never zero."""

from __future__ import annotations

import numpy as np
import pytest
from edgectl_agent.runner.frames import RunnerStats
from edgectl_agent.runner.models import ServingFigures
from edgectl_agent.telemetry.readings import P95_SAMPLES, latency_readings, runner_metrics
from edgectl_protos.errors import RunnerError
from edgectl_protos.metrics import MetricName, Unavailable


def _figures(inferences: int, latencies: tuple[float, ...], *, dropped: int = 0) -> ServingFigures:
    stats = RunnerStats(inferences, 0, 0, 1, 7_000_000, 3_000_000, 9_000_000, latencies, dropped)
    return ServingFigures(starts=2, stats=stats)


def test_no_inference_leaves_the_count_and_no_latency() -> None:
    metrics = {metric.name: metric for metric in runner_metrics("m", _figures(12, ()))}
    assert metrics[MetricName.INFERENCES].reading == 12.0
    for name in (MetricName.INFERENCE_P50, MetricName.INFERENCE_P95, MetricName.INFERENCE_MAX):
        assert metrics[name].reading == Unavailable("no inference since the last sample")


def test_a_p95_of_few_is_unavailable() -> None:
    few = latency_readings([float(value) for value in range(P95_SAMPLES - 1)])
    assert isinstance(few[MetricName.INFERENCE_P95], Unavailable)
    assert few[MetricName.INFERENCE_MAX] == P95_SAMPLES - 2
    enough = latency_readings([float(value) for value in range(P95_SAMPLES)])
    assert enough[MetricName.INFERENCE_P95] == pytest.approx(np.quantile(range(P95_SAMPLES), 0.95))


def test_a_runner_that_is_down_says_why_in_every_metric() -> None:
    starts, *metrics = runner_metrics("m", ServingFigures(3, RunnerError("crashed: SIGSEGV")))
    assert (starts.name, starts.reading, starts.model) == (MetricName.RUNNER_STARTS, 3.0, "m")
    assert len(metrics) == 8
    assert {metric.reading for metric in metrics} == {Unavailable("crashed: SIGSEGV")}
    assert {metric.model for metric in metrics} == {"m"}


def test_the_count_is_the_runners_own_and_latencies_left_out_are_counted() -> None:
    metrics = runner_metrics("m", _figures(15, (100.0, 300.0), dropped=6))
    readings = {metric.name: metric.reading for metric in metrics}
    assert readings[MetricName.RUNNER_STARTS] == 2.0
    assert readings[MetricName.INFERENCES] == 15.0
    assert readings[MetricName.INFERENCE_DROPPED] == 6.0
    assert readings[MetricName.INFERENCE_P50] == 200.0
    assert readings[MetricName.RUNNER_ANONYMOUS] == 3_000_000.0
