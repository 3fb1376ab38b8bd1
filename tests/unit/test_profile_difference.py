# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from edgectl.cli.profile_tables import circumstances_table, difference_table
from edgectl.lab.profile import Profile, ProfiledCall, ProfiledOperator
from edgectl.lab.profile_difference import Circumstance, profile_difference
from hypothesis import given
from hypothesis import strategies as st

DEVICE = {"cpu_model": "Cortex-A72", "runtime": "executorch 1.5.1", "cpu_features": ["neon", "crc32"], "boot_id": "b"}
PROVENANCE: dict[str, Any] = {"device": DEVICE, "runner": {"cpus": None, "nice": 0}, "host_version": "0.1.0"}


def profile(*calls: ProfiledCall, execute_us: float = 100.0, **changes: Any) -> Profile:
    return replace(Profile(20, 1, execute_us, calls, "pi4", "a" * 64, PROVENANCE), **changes)


def delegate(p50_us: float, *operators: tuple[str, float]) -> ProfiledCall:
    named = tuple(ProfiledOperator(*one) for one in operators)
    return ProfiledCall(0, "delegate", "XnnpackBackend", p50_us, named)


def kernel(name: str, p50_us: float) -> ProfiledCall:
    return ProfiledCall(1, "kernel", name, p50_us)


HERE = profile(delegate(40.0, ("Convolution #1", 40.0)), kernel("aten::add.out", 60.0))
THERE = profile(delegate(50.0, ("Convolution #1", 20.0), ("Convolution #2", 20.0), ("Add #1", 10.0)), execute_us=50.0)


def test_operators_are_compared_by_kind_and_place_with_the_greatest_change_first() -> None:
    difference = profile_difference(HERE, THERE)
    rows = [(row.name, row.place, row.change_us, row.ratio) for row in difference.rows]
    assert rows == [
        ("aten::add.out", "kernel", 60.0, None),
        ("Add", "XnnpackBackend", -10.0, None),
        ("(delegate overhead)", "XnnpackBackend", 0.0, None),
        ("Convolution", "XnnpackBackend", 0.0, 1.0),
    ]
    assert difference.ratio == 2.0


def test_a_kernel_here_that_is_in_the_delegate_there_is_on_one_side_in_either_place() -> None:
    rows = profile_difference(HERE, THERE).rows
    assert [(row.here is None, row.there is None) for row in rows[:2]] == [(False, True), (True, False)]
    table = difference_table(profile_difference(HERE, THERE), against="desk", every=False)
    assert table.title == "here against desk: 100.00 us a run, 50.00 us there, 2.00 times as long"
    assert table.rows[0] == ("aten::add.out", "kernel", "60.00", "-", "+60.00", "only here", "60.0%", "-")
    assert table.rows[1] == ("Add", "XnnpackBackend", "-", "10.00", "-10.00", "only there", "-", "20.0%")


def test_the_document_has_both_sides_and_null_where_there_is_none() -> None:
    document = profile_difference(HERE, THERE).document()
    assert document["operators"][0] == {
        "operator": "aten::add.out",
        "place": "kernel",
        "calls": 1,
        "p50_us": 60.0,
        "share": 0.6,
        "against_calls": None,
        "against_p50_us": None,
        "against_share": None,
        "change_us": 60.0,
        "ratio": None,
    }
    assert (document["same_bundle"], document["ratio"], document["against"]["execute_p50_us"]) == (True, 2.0, 50.0)


def test_one_program_is_compared_without_a_warning() -> None:
    difference = profile_difference(HERE, THERE)
    assert (difference.same_bundle, difference.warnings()) == (True, ())


def test_another_program_is_compared_with_a_warning_that_says_so() -> None:
    difference = profile_difference(HERE, replace(THERE, bundle_digest="b" * 64))
    assert difference.same_bundle is False
    (warning,) = difference.warnings()
    assert "different programs: bundle aaaaaaaaaaaa here, bbbbbbbbbbbb on the other side" in warning


@pytest.mark.parametrize("digests", [("", "b" * 64), ("a" * 64, ""), ("", "")])
def test_a_program_that_is_not_named_is_compared_with_a_warning(digests: tuple[str, str]) -> None:
    here, there = (replace(HERE, bundle_digest=digest) for digest in digests)
    difference = profile_difference(here, there)
    assert difference.same_bundle is None
    assert "does not say of which bundle it is" in "".join(difference.warnings())


def test_circumstances_that_differ_are_listed_and_no_others() -> None:
    other = DEVICE | {"cpu_model": "Cortex-A76", "cpu_features": ["neon", "asimddp"], "boot_id": "c"}
    there = replace(
        HERE, threads=4, device="pi5", provenance=PROVENANCE | {"device": other, "runner": {"cpus": [0, 1]}}
    )
    assert profile_difference(HERE, there).circumstances == (
        Circumstance("device", "pi4", "pi5"),
        Circumstance("threads", "1", "4"),
        Circumstance("processor", "Cortex-A72", "Cortex-A76"),
        Circumstance("pinned to", "not given", "[0, 1]"),
        Circumstance("nice", "0", "not given"),
        Circumstance("features of its own", "crc32", "asimddp"),
    )
    assert profile_difference(HERE, HERE).circumstances == ()
    assert "same on both sides" in circumstances_table(profile_difference(HERE, HERE)).empty


def test_a_reading_that_a_board_cannot_give_is_said_with_its_reason() -> None:
    there = replace(HERE, provenance=PROVENANCE | {"evidence": {"governor.before": {"unavailable": "no cpufreq"}}})
    assert profile_difference(HERE, there).circumstances == (
        Circumstance("governor", "not given", "unavailable: no cpufreq"),
    )


def test_a_long_list_of_features_is_cut() -> None:
    many = DEVICE | {"cpu_features": [f"f{index:02}" for index in range(40)]}
    (found,) = profile_difference(HERE, replace(HERE, provenance=PROVENANCE | {"device": many})).circumstances
    assert found.here == "crc32 neon"
    assert found.there.endswith("f11 and 28 more")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PROVENANCE, *DEVICE]), inner),
        max_leaves=20,
    )
)
def test_any_provenance_of_a_file_is_compared(value: Any) -> None:
    there = replace(HERE, provenance=value if isinstance(value, dict) else {"device": value, "runner": value})
    for one in profile_difference(HERE, there).circumstances:
        assert one.here.isprintable()
        assert one.there.isprintable()


def test_time_that_was_none_there_has_no_ratio() -> None:
    there = profile(delegate(0.0, ("Convolution #1", 0.0)), execute_us=1.0)
    row = next(row for row in profile_difference(HERE, there).rows if row.name == "Convolution")
    assert (row.ratio, row.change_us) == (None, 40.0)
