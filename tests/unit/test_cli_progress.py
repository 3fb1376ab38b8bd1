# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import pytest
from edgectl.cli.progress import BYTES, BarProgress, PlainProgress, open_progress, position_text, seconds_left


class ManualClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TerminalText(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_piped_progress_is_limited_to_a_line_each_interval() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with PlainProgress(stream, clock=clock, interval=2.0).task("train", total=80) as task:
        for _ in range(80):
            clock.now += 0.125
            task.advance(note="loss 0.5")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "train ..."
    assert lines[-1] == "train: done in 10 s (loss 0.5)"
    assert len(lines) == 2 + 4


def test_piped_progress_says_what_is_left() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with PlainProgress(stream, clock=clock).task("candidates", total=12) as task:
        clock.now = 30.0
        task.reach(3)
    assert "candidates: 3/12, about 1 min 30 s left" in stream.getvalue()


def test_failed_task_is_not_called_done() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), PlainProgress(stream).task("upload"):
        raise ValueError("broken")
    assert stream.getvalue() == "upload ...\n"


def test_failed_bar_leaves_the_display_closed() -> None:
    stream = TerminalText()
    progress = BarProgress(stream)
    with pytest.raises(ValueError, match="broken"), progress.task("upload", total=10):
        raise ValueError("broken")
    with progress.task("again", total=1) as task:
        task.advance()
    assert "again: done" in stream.getvalue()
    assert "upload: done" not in stream.getvalue()


def test_nested_bars_share_one_display() -> None:
    stream = TerminalText()
    progress = BarProgress(stream)
    with progress.task("search", total=2) as outer:
        for index in range(2):
            with progress.task(f"candidate {index}", total=3, unit="steps") as inner:
                inner.reach(3, note="[0.1]")
            outer.advance()
        progress.say("half [way]")
    text = stream.getvalue()
    assert "candidate 1: done" in text
    assert "half [way]" in text


def test_terminal_decides_between_bars_and_lines() -> None:
    assert isinstance(open_progress(TerminalText()), BarProgress)
    assert isinstance(open_progress(io.StringIO()), PlainProgress)


def test_total_may_come_later() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with PlainProgress(stream, clock=clock).task("upload", unit=BYTES) as task:
        clock.now = 5.0
        task.reach(1024, total=4096)
    assert "upload: 1.0 KiB/4.0 KiB, about 15 s left" in stream.getvalue()


def test_positions_and_estimates() -> None:
    assert position_text(3, 12, "blocks") == "3/12 blocks"
    assert position_text(3, None, "") == "3"
    assert seconds_left(10, 0, 5) is None
    assert seconds_left(10, 3, None) is None
    assert seconds_left(10, 5, 5) == 0
