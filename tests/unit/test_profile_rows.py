# SPDX-License-Identifier: Apache-2.0
"""A profile's table: what is taken together, what is its share, and how it is shown."""

from __future__ import annotations

import pytest
from edgectl.cli.profile_tables import MOST_ROWS, profile_table, remarks
from edgectl.lab.profile import Profile, ProfiledCall, ProfiledOperator
from hypothesis import given
from hypothesis import strategies as st

times = st.floats(min_value=0, max_value=1e9)
operators = st.builds(ProfiledOperator, st.sampled_from(["Add #1", "Add #2", "Mul #1", "Mul"]), times)
calls = st.builds(
    ProfiledCall,
    st.integers(0, 99),
    st.sampled_from(["delegate", "kernel"]),
    st.sampled_from(["XnnpackBackend", "Other", "aten::add.out"]),
    times,
    st.lists(operators, max_size=5).map(tuple),
)


def profile(*calls: ProfiledCall, execute_us: float = 100.0) -> Profile:
    return Profile(20, 1, execute_us, calls, "pi4", "a" * 64)


def delegate(index: int, p50_us: float, *operators: tuple[str, float], name: str = "XnnpackBackend") -> ProfiledCall:
    return ProfiledCall(index, "delegate", name, p50_us, tuple(ProfiledOperator(*one) for one in operators))


def kernel(index: int, name: str, p50_us: float) -> ProfiledCall:
    return ProfiledCall(index, "kernel", name, p50_us)


TWO_DELEGATES = profile(
    delegate(0, 50.0, ("Convolution #1", 30.0), ("Convolution #2", 10.0)),
    kernel(3, "aten::cumsum.out", 20.0),
    delegate(4, 30.0, ("Convolution #1", 25.0)),
)


def test_operators_of_a_kind_are_one_row_whatever_their_number() -> None:
    rows = [(row.name, row.place, row.calls, row.p50_us, row.share) for row in TWO_DELEGATES.rows()]
    assert rows == [
        ("Convolution", "XnnpackBackend", 3, 65.0, 0.65),
        ("aten::cumsum.out", "kernel", 1, 20.0, 0.2),
        ("(delegate overhead)", "XnnpackBackend", 2, 15.0, 0.15),
    ]


def test_each_operator_has_a_row_that_says_in_which_call_it_was() -> None:
    rows = [(row.name, row.place, row.calls, row.p50_us) for row in TWO_DELEGATES.each()]
    assert rows == [
        ("Convolution #1", "XnnpackBackend, call 0", 1, 30.0),
        ("Convolution #1", "XnnpackBackend, call 4", 1, 25.0),
        ("aten::cumsum.out", "kernel", 1, 20.0),
        ("(delegate overhead)", "XnnpackBackend, call 0", 1, 10.0),
        ("Convolution #2", "XnnpackBackend, call 0", 1, 10.0),
        ("(delegate overhead)", "XnnpackBackend, call 4", 1, 5.0),
    ]


def test_one_name_in_two_places_is_two_rows() -> None:
    found = profile(delegate(0, 5.0, ("Add", 5.0)), delegate(1, 4.0, ("Add", 4.0), name="Other"))
    assert [(row.name, row.place) for row in found.rows()][:2] == [("Add", "XnnpackBackend"), ("Add", "Other")]


def test_operators_whose_medians_exceed_their_calls_leave_no_negative_overhead() -> None:
    rows = {row.name: row for row in profile(delegate(0, 10.0, ("Add", 6.0), ("Mul", 6.0))).rows()}
    assert rows["(delegate overhead)"].p50_us == 0.0
    assert sum(row.share for row in rows.values()) == pytest.approx(1.0)


@given(st.lists(calls, max_size=8))
def test_shares_add_up_and_calls_are_counted_whatever_a_device_says(given_calls: list[ProfiledCall]) -> None:
    found = profile(*given_calls)
    for rows in (found.rows(), found.each()):
        assert [row.p50_us for row in rows] == sorted((row.p50_us for row in rows), reverse=True)
        total = sum(row.p50_us for row in rows)
        assert sum(row.share for row in rows) == pytest.approx(1.0 if total > 0 else 0.0)
        parts = sum(1 if call.kind == "kernel" else len(call.operators) + 1 for call in given_calls)
        assert sum(row.calls for row in rows) == parts


def test_bookkeeping_is_no_operator_that_fell_out_of_the_delegate() -> None:
    found = profile(kernel(0, "executorch_prim::add.Scalar", 1.0), delegate(1, 99.0, ("Add", 99.0)))
    assert found.outside() == ()
    assert remarks(found) == "every operator runs inside a delegate"


def test_kernels_outside_a_delegate_are_said_with_their_share() -> None:
    assert remarks(TWO_DELEGATES) == "1 kernel outside a delegate, 20.0% of the time"
    twice = profile(kernel(0, "aten::add.out", 50.0), kernel(1, "aten::add.out", 50.0))
    assert remarks(twice) == "2 kernels outside a delegate, 100.0% of the time"


def test_a_long_table_ends_with_one_line_for_the_rest() -> None:
    found = profile(*(kernel(index, f"aten::op{index}.out", 1.0 + index) for index in range(MOST_ROWS + 2)))
    table = profile_table(found, title="cnn on pi4", each=False, every=False)
    assert table.title == "cnn on pi4: 100.00 us a run, 20 runs, 1 thread"
    assert len(table.rows) == MOST_ROWS + 1
    assert table.rows[0][:4] == ("aten::op31.out", "kernel", "1", "32.00")
    assert table.rows[-1] == ("2 more", "", "2", "3.00", "0.6%")
    assert len(profile_table(found, title="", each=False, every=True).rows) == MOST_ROWS + 2


def test_a_line_for_the_rest_never_stands_for_a_single_row() -> None:
    found = profile(*(kernel(index, f"aten::op{index}.out", 1.0) for index in range(MOST_ROWS + 1)))
    rows = profile_table(found, title="", each=False, every=False).rows
    assert len(rows) == MOST_ROWS + 1
    assert all(row[1] == "kernel" for row in rows)


def test_a_program_that_calls_nothing_is_said_to() -> None:
    assert profile_table(profile(), title="cnn on pi4", each=False, every=False).empty == (
        "cnn on pi4: the program calls no operator"
    )


def test_a_run_that_is_longer_than_its_calls_is_said_to_have_been_interrupted() -> None:
    assert profile(kernel(0, "aten::add.out", 91.0)).unaccounted == pytest.approx(0.09)
    assert "\n" not in remarks(profile(kernel(0, "aten::add.out", 91.0)))
    assert remarks(profile(kernel(0, "aten::add.out", 40.0))).splitlines()[1] == (
        "60.0% of the run is in no call: between them, or the device was busy meanwhile"
    )
    assert profile(kernel(0, "aten::add.out", 110.0)).unaccounted == 0.0
