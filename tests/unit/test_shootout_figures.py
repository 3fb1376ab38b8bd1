# SPDX-License-Identifier: Apache-2.0
"""The shoot-out's rules: intervals over blocks, what a tie is, what a wrong answer is, and what the table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _shootout_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def steady(milliseconds: float, *, blocks: int = 9) -> tuple[tuple[float, ...], ...]:
    return tuple((milliseconds, milliseconds * 1.001, milliseconds * 0.999) for _ in range(blocks))


def timed(milliseconds: float, note: str = "") -> Any:
    from shootout.cases import Timed

    return Timed(steady(milliseconds), "SQNR 30.0 dB", note)


def test_an_interval_holds_its_median_and_widens_with_the_blocks_differences() -> None:
    from shootout.statistics import interval_of

    calm, restless = interval_of(steady(2.0)), interval_of([(2.0 + 0.1 * index,) for index in range(9)])
    assert calm.low <= calm.median == 2.0 <= calm.high
    assert restless.low < restless.median < restless.high
    assert restless.median == pytest.approx(2.4)
    assert restless == interval_of([(2.0 + 0.1 * index,) for index in range(9)])


def test_a_block_counts_once_however_many_samples_it_holds() -> None:
    from shootout.statistics import interval_of

    assert interval_of([(1.0,), (1.0,), (5.0,) * 1000]).median == 1.0


@pytest.mark.parametrize("blocks", [[], [(1.0,), ()]])
def test_no_samples_are_no_interval(blocks: list[tuple[float, ...]]) -> None:
    from shootout.statistics import interval_of

    with pytest.raises(ValueError, match="samples"):
        interval_of(blocks)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((1.00, 0.99, 1.01), (1.10, 1.09, 1.11), "ahead"),
        ((1.10, 1.09, 1.11), (1.00, 0.99, 1.01), "behind"),
        ((1.00, 1.00, 1.00), (1.03, 1.03, 1.03), "tied"),
        ((1.00, 1.00, 1.00), (1.031, 1.031, 1.031), "ahead"),
        ((1.00, 0.80, 1.30), (1.20, 1.10, 1.40), "tied"),
        ((1.03, 1.03, 1.03), (1.00, 1.00, 1.00), "tied"),
    ],
)
def test_a_tie_is_overlapping_intervals_or_three_percent(
    ours: tuple[float, float, float], theirs: tuple[float, float, float], expected: str
) -> None:
    from shootout.statistics import Interval, verdict

    assert verdict(Interval(*ours), Interval(*theirs)) == expected


def test_answers_are_right_near_the_expected_one_and_no_farther() -> None:
    from shootout.answers import agreement

    expected = np.linspace(-4, 4, 50, dtype=np.float32).reshape(1, 50)
    assert agreement(expected + np.float32(0.003), expected, "fp32")[0]
    assert not agreement(expected + np.float32(0.005), expected, "fp32")[0]
    assert agreement(expected + np.float32(0.005), expected, "int8")[0]
    assert not agreement(expected[:, ::-1], expected, "int8")[0]
    assert agreement(expected.reshape(50), expected, "fp32")[0]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_numbers_that_are_none_and_missing_ones_are_wrong(precision: str) -> None:
    from shootout.answers import agreement

    expected = np.ones((1, 4), np.float32)
    assert not agreement(np.array([[1, 1, np.nan, 1]], np.float32), expected, precision)[0]
    assert agreement(np.ones((1, 3), np.float32), expected, precision) == (False, "3 elements instead of 4")


def results(**outcomes: Any) -> Any:
    """One case at one thread: edge-runner at 1 ms and the given peers."""
    from shootout.cases import Case
    from shootout.peers import PEERS

    from_all = {peer.name: failed() for peer in PEERS}
    return {Case("ds_cnn", "int8", 1): {**from_all, "edge-runner": timed(1.0), **outcomes}}


def failed() -> Any:
    from shootout.cases import Failed

    return Failed("no kernel for it")


def test_the_table_marks_each_peer_and_says_who_cannot_run() -> None:
    from shootout.peers import PEERS
    from shootout.report import remarks, table

    made = results(onnxruntime=timed(2.0), litert=timed(1.01), mnn=timed(0.5), openvino=timed(1.0, "a note"))
    _, row = table(made, PEERS)
    assert row.startswith("DS-CNN int8")
    assert [cell for cell in row.split() if cell in "+=-"] == ["+", "=", "-", "="]
    assert row.count("cannot run") == 2
    said = remarks(made, PEERS)
    assert "ncnn cannot run DS-CNN int8: no kernel for it" in said
    assert "OpenVINO, DS-CNN int8: a note" in said


def test_the_last_line_counts_cases_and_the_bar_follows_it() -> None:
    from shootout.report import closing_line, meets_bar

    won = results(onnxruntime=timed(2.0), litert=timed(1.01), openvino=timed(1.02))
    assert closing_line(won).startswith("1/1 cases at 1 thread")
    assert closing_line(won).endswith("1/1 with OpenVINO")
    assert meets_bar(won)
    assert not meets_bar(results(onnxruntime=timed(2.0), mnn=timed(0.9)))
    assert not meets_bar(results(onnxruntime=timed(2.0), openvino=timed(0.9)))


def test_a_runner_that_fails_loses_the_case_it_is_not_left_out() -> None:
    from shootout.report import closing_line

    lost = results(onnxruntime=timed(2.0)) | {}
    for outcomes in lost.values():
        outcomes["edge-runner"] = failed()
    assert closing_line(lost).startswith("0/1 cases")


def test_the_binding_runs_the_same_program_and_is_not_a_rival() -> None:
    from shootout.report import closing_line

    assert closing_line(results(binding=timed(0.5))).startswith("0/0 cases")
