# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from edgectl.lab.bootstrap import median_interval
from edgectl.lab.measurement import Attempt, Measurement, MemoryFigures, summarize
from edgectl_protos.errors import RunnerError

MEMORY = MemoryFigures(program_bytes=1, planned_bytes=2, load_rss_bytes=3, peak_rss_bytes=4)


def measured(
    blocks: Sequence[Sequence[float]], *, reference: Sequence[Sequence[float]] = (), reasons: tuple[str, ...] = ()
) -> Measurement:
    attempt = Attempt(tuple(map(tuple, blocks)), tuple(map(tuple, reference)), reasons)
    return summarize(
        [attempt],
        0,
        memory=MEMORY,
        loads_ms=(9.0, 1.5, 1.0),
        device="pi4",
        bundle_digest="a" * 64,
        protocol="short",
        provenance={"threads": 1},
        reference_digest="b" * 64,
    )


@pytest.mark.parametrize(
    ("count", "has_p95", "has_p99"), [(199, False, False), (200, True, False), (999, True, False), (1000, True, True)]
)
def test_tail_percentiles_need_enough_samples(count: int, has_p95: bool, has_p99: bool) -> None:  # noqa: FBT001
    figures = measured([[1.0] * (count - 100), [1.0] * 100])
    assert (figures.p95 is not None, figures.p99 is not None) == (has_p95, has_p99)


def test_document_has_the_names_that_checks_read() -> None:
    figures = measured([[1.0, 3.0], [2.0, 2.0]], reference=[[4.0], [4.0], [4.0]])
    document = json.loads(json.dumps(figures.document(), allow_nan=False))
    assert document == {
        "unit": "ms",
        "samples": [1.0, 3.0, 2.0, 2.0],
        "block_sizes": [2, 2],
        "p50": 2.0,
        "p90": pytest.approx(2.7),
        "p95": None,
        "p99": None,
        "p50_interval": [1.0, 3.0],
        "reference": {"p50": 4.0, "ratio": 0.5, "digest": "b" * 64},
        "memory": {
            "program_bytes": 1,
            "planned_bytes": 2,
            "load_rss_bytes": 3,
            "peak_rss_bytes": 4,
        },
        "load_anonymous_bytes": None,
        "load_ms": 1.5,
        "loads_ms": [9.0, 1.5, 1.0],
        "quality": "ok",
        "quality_reason": "",
        "attempts": [[]],
        "device": "pi4",
        "bundle_digest": "a" * 64,
        "protocol": "short",
        "provenance": {"threads": 1},
    }


def test_an_attempt_that_was_not_accepted_is_degraded_with_the_reasons_and_keeps_its_samples() -> None:
    figures = measured([[1.0] * 5, [1.2] * 5], reasons=("the block medians vary", "throttled"))
    assert (figures.quality, figures.quality_reason) == ("degraded", "the block medians vary; throttled")
    assert len(figures.samples) == 10


def test_the_chosen_attempt_gives_the_figures_and_the_others_their_reasons() -> None:
    refused = Attempt(((9.0,), (9.0,)), (), ("varies",))
    accepted = Attempt(((1.0,), (1.0,)), (), ())
    figures = summarize(
        [refused, accepted],
        1,
        memory=MEMORY,
        loads_ms=(1.0,),
        device="pi4",
        bundle_digest="a" * 64,
        protocol="short",
        provenance={},
    )
    assert (figures.p50, figures.quality, figures.attempts) == (1.0, "ok", (("varies",), ()))


def test_each_block_is_set_against_the_reference_beside_it() -> None:
    slowing = measured([[1.0], [2.0], [4.0]], reference=[[2.0], [2.0], [6.0], [10.0]])
    assert slowing.reference is not None
    assert slowing.reference.ratio == 0.5


@pytest.mark.parametrize("chosen", [-1, 1])
def test_a_chosen_attempt_that_was_not_sent_is_an_error(chosen: int) -> None:
    with pytest.raises(RunnerError, match="attempt"):
        summarize(
            [Attempt(((1.0,),), (), ())],
            chosen,
            memory=MEMORY,
            loads_ms=(1.0,),
            device="pi4",
            bundle_digest="",
            protocol="short",
            provenance={},
        )


def test_a_reference_with_a_block_too_few_is_an_error() -> None:
    with pytest.raises(RunnerError, match="2 blocks of the reference model; expected 3"):
        measured([[1.0], [1.0]], reference=[[1.0], [1.0]])


def test_the_interval_holds_the_median_and_is_the_same_each_time() -> None:
    blocks = [[1.0 + 0.01 * index for index in range(50)] for _ in range(5)]
    low, high = median_interval(blocks)
    assert low < 1.245 < high
    assert high - low < 0.15
    assert median_interval(blocks) == (low, high)


def test_the_interval_is_as_wide_as_the_blocks_differ() -> None:
    alike = median_interval([[1.0] * 100] * 5)
    apart = median_interval([[1.0] * 100, [1.0] * 100, [1.0] * 100, [1.5] * 100, [1.5] * 100])
    assert alike == (1.0, 1.0)
    assert apart == (1.0, 1.5)


def test_a_long_block_is_thinned_without_moving_its_median() -> None:
    low, high = median_interval([[float(value) for value in range(1, 100_001)]] * 5)
    assert low < 50_000 < high
    assert high - low < 12_000


@pytest.mark.parametrize("blocks", [[], [[]], [[1.0], []]])
def test_a_measurement_without_samples_is_an_error(blocks: list[list[float]]) -> None:
    with pytest.raises(RunnerError, match="no samples"):
        measured(blocks)


@pytest.mark.parametrize("sample", [math.nan, math.inf, -1.0, 0.0])
def test_a_sample_that_is_no_duration_is_an_error(sample: float) -> None:
    with pytest.raises(RunnerError, match="a sample of"):
        measured([[1.0], [sample]])
