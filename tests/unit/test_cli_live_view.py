# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import math

import pytest
from edgectl.cli.live_view import ASCII_BARS, BARS, LiveView, bar_line
from edgectl.lab.device_values import BenchmarkBlock
from hypothesis import given
from hypothesis import strategies as st

MIB = 1 << 20


def stream(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def block(index: int, *samples: float, attempt: int = 0, reference: bool = False, mib: float = 12.3) -> BenchmarkBlock:
    return BenchmarkBlock(attempt, index, reference, samples, int(mib * MIB))


def test_a_note_says_attempt_block_median_bars_and_memory() -> None:
    view = LiveView(stream())
    notes = [view.note(block(index, 3.0, median, 90.0)) for index, median in enumerate((4.0, 4.01, 4.4, 4.0, 8.0))]
    assert notes[0] == "attempt 1 block 1: p50 4.000 ms ▁, 12.3 MiB"
    assert notes[-1] == "attempt 1 block 5: p50 8.000 ms ▁▁▁▁█, 12.3 MiB"


def test_another_attempt_begins_a_line_of_its_own() -> None:
    view = LiveView(stream())
    view.note(block(0, 9.0))
    view.note(block(1, 1.0))
    assert view.note(block(0, 4.0, attempt=1)) == "attempt 2 block 1: p50 4.000 ms ▁, 12.3 MiB"


def test_the_reference_model_stands_beside_and_adds_no_bar() -> None:
    view = LiveView(stream())
    assert view.note(block(0, 1.5, reference=True, mib=5)) == "attempt 1 block 1: reference 1.500 ms"
    view.note(block(0, 4.0))
    assert (
        view.note(block(1, 1.25, reference=True, mib=5))
        == "attempt 1 block 2: p50 4.000 ms ▁, 12.3 MiB, reference 1.250 ms"
    )


def test_a_stream_without_such_characters_gets_ascii() -> None:
    for encoding in ("ascii", "latin-1"):
        view = LiveView(stream(encoding))
        view.note(block(0, 4.0))
        assert view.note(block(1, 8.0)) == "attempt 1 block 2: p50 8.000 ms _#, 12.3 MiB"


def test_a_stream_that_names_no_encoding_gets_ascii() -> None:
    assert LiveView(io.StringIO()).note(block(0, 4.0)).isascii()


def test_what_a_block_lacks_is_left_out() -> None:
    assert LiveView(stream()).note(block(3)) == "attempt 1 block 4"
    for nonsense in (math.nan, math.inf, 0.0, -1.0):
        assert LiveView(stream()).note(block(3, nonsense)) == "attempt 1 block 4"
    assert LiveView(stream()).note(block(0, 2.0, mib=0)) == "attempt 1 block 1: p50 2.000 ms ▁"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((1.0,), "▁"),
        ((1.0, 1.004, 1.0), "▁▁▁"),
        ((1.0, 1.05), "▁▅"),
        ((1.0, 1.1), "▁█"),
        ((1.0, 2.0, 3.0), "▁▅█"),
        ((0.0, 0.0), "▁▁"),
        ((9.0, *([1.0] * 20)), "▁" * 20),
    ],
)
def test_bars_show_the_spread_and_not_the_noise(values: tuple[float, ...], line: str) -> None:
    assert bar_line(values) == line


@given(st.lists(st.floats(min_value=1e-9, max_value=1e12), min_size=1, max_size=60))
def test_any_medians_make_one_bar_each_with_the_least_the_lowest(values: list[float]) -> None:
    for bars in (BARS, ASCII_BARS):
        line = bar_line(values, bars)
        assert len(line) == min(20, len(values))
        assert set(line) <= set(bars)
        shown = values[-20:]
        assert line[shown.index(min(shown))] == bars[0]
