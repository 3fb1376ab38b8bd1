# SPDX-License-Identifier: Apache-2.0
"""The delegation report's arithmetic and text, and golden files: no torch needed."""

from __future__ import annotations

import io

import numpy as np
from edgectl.lower.delegation import DelegationReport
from edgectl.lower.golden import npy_bytes


def test_fraction_is_of_occurrences_not_of_names() -> None:
    assert DelegationReport({"a": 3, "b": 1}, {"c": 4}).fraction == 0.5
    assert DelegationReport({"a": 3}, {}).fraction == 1.0
    assert DelegationReport({}, {"a": 3}).fraction == 0.0


def test_program_without_operators_has_none_outside() -> None:
    assert DelegationReport({}, {}).fraction == 1.0


def test_text_begins_with_what_was_left_out() -> None:
    lines = DelegationReport({"aten.relu.default": 2}, {"aten.cumsum.default": 1}).lines()
    assert lines[0] == "2 of 3 compute operators are in a delegate"
    assert lines[1].split() == ["outside", "1", "aten.cumsum.default"]


def test_npy_is_the_same_for_the_same_values_whatever_their_strides() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    columns = np.asfortranarray(rows)
    assert npy_bytes(rows) == npy_bytes(columns) == npy_bytes(rows.copy())
    assert np.array_equal(np.load(io.BytesIO(npy_bytes(columns)), allow_pickle=False), rows)
