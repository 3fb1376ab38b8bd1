# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from edgectl.cli.output import Output, OutputFormat, Table, json_text, plain_table
from edgectl.cli.text import milliseconds_text, one_line, printable, seconds_text, size_text

TABLE = Table(("name", ">p50"), (("small", "1.5"), ("a longer name", "120")))


def test_plain_table_aligns_columns_and_leaves_no_trailing_space() -> None:
    assert plain_table(TABLE) == ["name           p50", "small          1.5", "a longer name  120"]


def test_piped_output_has_no_control_codes() -> None:
    stream = io.StringIO()
    Output(stream, style=OutputFormat.TABLE, terminal=False).show({}, TABLE)
    assert stream.getvalue().isprintable() is False  # line feeds
    assert stream.getvalue().replace("\n", "").isprintable()


def test_terminal_gets_a_drawn_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    Output(stream, style=OutputFormat.TABLE, terminal=True).show({}, TABLE)
    assert "─" in stream.getvalue()
    assert "a longer name" in stream.getvalue()


def test_plain_is_plain_on_a_terminal_too() -> None:
    stream = io.StringIO()
    Output(stream, style=OutputFormat.PLAIN, terminal=True).show({}, TABLE)
    assert stream.getvalue().splitlines() == plain_table(TABLE)


def test_json_shows_the_document_alone() -> None:
    stream = io.StringIO()
    Output(stream, style=OutputFormat.JSON, terminal=True).show({"p50": 1.5}, TABLE, "words")
    assert json.loads(stream.getvalue()) == {"p50": 1.5}


def test_empty_table_says_so_in_words() -> None:
    stream = io.StringIO()
    Output(stream, style=OutputFormat.TABLE, terminal=False).show([], Table(("name",), (), empty="no devices"))
    assert stream.getvalue() == "no devices\n"


def test_stream_of_json_records_is_one_line_each() -> None:
    stream = io.StringIO()
    output = Output(stream, style=OutputFormat.JSON, terminal=False)
    output.record({"sequence": 1}, "first")
    output.record({"sequence": 2}, "second")
    assert [json.loads(line)["sequence"] for line in stream.getvalue().splitlines()] == [1, 2]


def test_json_writes_null_for_what_is_not_finite() -> None:
    assert json.loads(json_text({"p99": math.nan, "rest": (math.inf, Path("a/b"))})) == {
        "p99": None,
        "rest": [None, "a/b"],
    }


def test_markup_in_a_name_stays_text() -> None:
    stream = io.StringIO()
    table = Table(("name",), (("[red]pi[/red]",),))
    Output(stream, style=OutputFormat.TABLE, terminal=True).show({}, table)
    assert "[red]pi[/red]" in stream.getvalue()


def test_control_codes_from_a_board_are_escaped() -> None:
    assert printable("pi\x1b[2J") == "pi\\x1b[2J"
    assert one_line("two\nlines\tand \x07") == "two lines and \\x07"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (12.4, "12 s"), (59.9, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.12345, "0.1235"), (21.0, "21.00"), (1234.5, "1234")])
def test_latencies_keep_four_digits(value: float | None, text: str) -> None:
    assert milliseconds_text(value) == text
