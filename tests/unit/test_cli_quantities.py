# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import click
import pytest
from edgectl.cli.quantities import CpuList, Duration, Size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20ms", 0.02), ("1.5s", 1.5), ("2 min", 120.0), ("250us", 0.00025), ("3", 3.0), ("1h", 3600.0)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == pytest.approx(seconds)


def test_a_bare_deadline_is_in_milliseconds() -> None:
    assert Duration("ms").convert("20", None, None) == pytest.approx(0.02)


@pytest.mark.parametrize("text", ["", "ms", "-1s", "1 fortnight", "1e3s", "nan", "inf"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 20ms"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(("text", "count"), [("64MB", 64_000_000), ("64MiB", 64 << 20), ("1.5 GiB", 3 << 29)])
def test_a_size_has_a_unit(text: str, count: int) -> None:
    assert Size().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["64", "MB", "-1MB", "64 M"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 64MB"):
        Size().convert(text, None, None)


@pytest.mark.parametrize("text", ["0MB", "99999999GB", "9" * 400 + "GB"])
def test_a_size_that_no_memory_has_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size that memory has"):
        Size().convert(text, None, None)


@pytest.mark.parametrize(("text", "cpus"), [("0", (0,)), ("0,2-3", (0, 2, 3)), ("3,1,1", (1, 3))])
def test_processors_are_written_as_taskset_writes_them(text: str, cpus: tuple[int, ...]) -> None:
    assert CpuList().convert(text, None, None) == cpus


@pytest.mark.parametrize("text", ["", "3-1", "a", "0,", "0-", "-1", "0-99999999999"])
def test_what_is_no_list_of_processors_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 0 or"):
        CpuList().convert(text, None, None)
