# SPDX-License-Identifier: Apache-2.0
"""The conformance run's rules: what an error is, what is within tolerance, what the tables and the last line say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
REFERENCE = np.array([[1.0, -4.0, 2.0]], dtype=np.float32)


@pytest.fixture(autouse=True)
def _set_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def finding(place: str = "x86_64", **changes: Any) -> Any:
    from conformance_set.comparison import Finding

    usual = Finding("linear", "linear", "fp32", place, eager=1e-7, native=None)
    return replace(usual, **changes)


def test_error_is_the_largest_difference_over_the_largest_value() -> None:
    from conformance_set.comparison import error

    assert error([REFERENCE], [REFERENCE]) == 0.0
    assert error([REFERENCE + np.array([[0.0, 0.0, 1.0]], dtype=np.float32)], [REFERENCE]) == 0.25
    assert error([REFERENCE, REFERENCE * 1.5], [REFERENCE, REFERENCE]) == 0.5


@pytest.mark.parametrize(
    "given",
    [
        [],
        [REFERENCE, REFERENCE],
        [REFERENCE[0]],
        [REFERENCE.astype(np.float64)],
        [np.array([[1.0, np.nan, 2.0]], dtype=np.float32)],
    ],
)
def test_answer_of_another_number_shape_type_or_with_nan_is_infinitely_off(given: list[Any]) -> None:
    from conformance_set.comparison import INFINITE, error

    assert error(given, [REFERENCE]) == INFINITE


def test_whole_numbers_are_right_or_infinitely_off_and_equal_infinities_are_right() -> None:
    from conformance_set.comparison import INFINITE, error

    indices = np.array([3, 1])
    assert error([indices], [indices]) == 0.0
    assert error([indices + 1], [indices]) == INFINITE
    endless = np.array([np.inf, 1.0], dtype=np.float32)
    assert error([endless], [endless]) == 0.0
    assert error([np.zeros(2, np.float32)], [np.zeros(2, np.float32)]) == 0.0
    assert error([np.ones(2, np.float32)], [np.zeros(2, np.float32)]) == INFINITE


def test_error_from_either_reference_beyond_its_limit_is_out_of_tolerance() -> None:
    assert finding().within
    assert not finding(eager=1e-3).within
    assert finding(precision="int8", eager=1e-2).within
    assert not finding(precision="int8", eager=1e-2, native=1e-3).within
    assert not finding(failure="crashed").within


def test_what_is_known_to_be_off_is_within_only_as_it_is_known() -> None:
    assert finding(case="gelu_tanh", eager=1.7e-4).within
    assert not finding(case="gelu_tanh", eager=1e-3).within
    assert not finding(case="gelu_tanh", eager=1.7e-4, native=1e-3).within
    assert finding(case="pad", precision="int8", failure="Failed to create StaticConstantPad node 4").within
    assert not finding(case="pad", precision="int8", failure="Segmentation fault").within


def test_tables_mark_and_name_what_is_out_and_keep_the_known_apart() -> None:
    from conformance_set.report import closing_line, tables

    findings = [
        finding(),
        finding("cortex-a72", native=2e-8),
        finding(case="relu", eager=2e-7),
        finding("cortex-a72", case="relu", eager=0.5, native=0.5),
        finding(case="gelu_tanh", eager=1.7e-4),
        finding("cortex-a72", case="gelu_tanh", eager=1.7e-4, native=0.0),
        finding(case="sort", eager=float("inf"), failure="no such kernel"),
    ]
    text = "\n".join(tables(findings))
    assert "0.5 !" not in text
    assert "5.0e-01 / 5.0e-01 !" in text
    assert "relu fp32 on cortex-a72: 5.00e-01 from eager torch (at most 1e-05), 5.00e-01 from x86_64" in text
    assert "sort fp32 on x86_64: no such kernel" in text
    assert text.count("known: gelu_tanh fp32") == 1
    line = closing_line(findings)
    assert line.startswith("4 programs in 2 places, 2 answers out of tolerance, 1 known to be off everywhere alike;")
    assert "x86_64 fp32 2.0e-07; cortex-a72 fp32 5.0e-01, 5.0e-01 from the native runner" in line
