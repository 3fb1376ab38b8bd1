# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from edgectl.lab.measurement import Measurement, MemoryFigures, judge, summarize
from edgectl_protos.errors import RunnerError

MEMORY = MemoryFigures(program_bytes=1, planned_bytes=2, load_rss_bytes=3, peak_rss_bytes=4)


def measured(blocks: Sequence[Sequence[float]]) -> Measurement:
    return summarize(
        blocks,
        memory=MEMORY,
        load_ms=1.5,
        device="pi4",
        bundle_digest="a" * 64,
        protocol="short",
        provenance={"threads": 1},
    )


@pytest.mark.parametrize(
    ("count", "has_p95", "has_p99"), [(199, False, False), (200, True, False), (999, True, False), (1000, True, True)]
)
def test_tail_percentiles_need_enough_samples(count: int, has_p95: bool, has_p99: bool) -> None:  # noqa: FBT001
    figures = measured([[1.0] * (count - 100), [1.0] * 100])
    assert (figures.p95 is not None, figures.p99 is not None) == (has_p95, has_p99)


def test_document_has_the_names_that_checks_read() -> None:
    document = json.loads(json.dumps(measured([[1.0, 3.0], [2.0, 2.0]]).document(), allow_nan=False))
    assert document == {
        "unit": "ms",
        "samples": [1.0, 3.0, 2.0, 2.0],
        "block_sizes": [2, 2],
        "p50": 2.0,
        "p90": pytest.approx(2.7),
        "p95": None,
        "p99": None,
        "memory": {"program_bytes": 1, "planned_bytes": 2, "load_rss_bytes": 3, "peak_rss_bytes": 4},
        "load_ms": 1.5,
        "quality": "ok",
        "quality_reason": "",
        "device": "pi4",
        "bundle_digest": "a" * 64,
        "protocol": "short",
        "provenance": {"threads": 1},
    }


def test_an_outlier_in_a_block_is_kept_and_does_not_degrade() -> None:
    figures = measured([[1.0] * 9 + [50.0], [1.0] * 10, [1.0] * 10])
    assert max(figures.samples) == 50.0
    assert figures.quality == "ok"


def test_blocks_that_disagree_are_degraded_with_the_reason() -> None:
    figures = measured([[1.0] * 5, [1.0] * 5, [1.2] * 5])
    assert figures.quality == "degraded"
    assert figures.quality_reason.startswith("the block medians vary by 10.8% (limit 3%), from 1 to 1.2")
    assert len(figures.samples) == 15


def test_just_below_the_limit_is_ok() -> None:
    # standard deviation over mean of (1, x) is sqrt(2) (x - 1) / (x + 1)
    below, above = 1.0433, 1.0435
    assert judge([[1.0], [below]])[0] == "ok"
    assert judge([[1.0], [above]])[0] == "degraded"


def test_one_block_cannot_be_judged() -> None:
    assert judge([[1.0] * 100]) == ("degraded", "one block: its variation cannot be judged")


@pytest.mark.parametrize("blocks", [[], [[]], [[1.0], []]])
def test_a_measurement_without_samples_is_an_error(blocks: list[list[float]]) -> None:
    with pytest.raises(RunnerError, match="no samples"):
        measured(blocks)


@pytest.mark.parametrize("sample", [math.nan, math.inf, -1.0, 0.0])
def test_a_sample_that_is_no_duration_is_an_error(sample: float) -> None:
    with pytest.raises(RunnerError, match="a sample of"):
        measured([[1.0], [sample]])
