# SPDX-License-Identifier: Apache-2.0
"""What a benchmark's progress says of each block, and a line of bars of the medians so far."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from edgectl_protos.quantiles import quantile

from edgectl.cli.text import milliseconds_text, size_text

if TYPE_CHECKING:
    from edgectl.lab.device_values import BenchmarkBlock

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-=+*%#"
_MOST_BARS = 20
_LEAST_SPREAD = 0.1


class LiveView:
    """Follows one measurement's blocks, for a `stream` (stderr) whose encoding may lack the bars."""

    def __init__(self, stream: TextIO | None = None) -> None:
        encoding = (sys.stderr if stream is None else stream).encoding
        self._bars = BARS if _holds(encoding, BARS) else ASCII_BARS
        self._attempt = -1
        self._candidate: list[float] = []
        self._reference: float | None = None
        self._rss_bytes = 0

    def note(self, block: BenchmarkBlock) -> str:
        """`attempt 2 block 5: p50 4.213 ms ▂▂▃▂▇, 12.3 MiB`; bars are of this attempt.

        The reference model's last median stands at the end, where there is one. Attempts and blocks count from 1.
        """
        if block.attempt != self._attempt:
            self._attempt, self._candidate = block.attempt, []
        median = _median(block.samples_ms)
        if block.reference:
            self._reference = median
        else:
            self._rss_bytes = block.rss_bytes
            if median is not None:
                self._candidate.append(median)
        return self._line(block.index + 1)

    def _line(self, number: int) -> str:
        parts = []
        if self._candidate:
            parts.append(f"p50 {milliseconds_text(self._candidate[-1])} ms {bar_line(self._candidate, self._bars)}")
        if self._candidate and self._rss_bytes:
            parts.append(size_text(self._rss_bytes))
        if self._reference is not None:
            parts.append(f"reference {milliseconds_text(self._reference)} ms")
        where = f"attempt {self._attempt + 1} block {number}"
        return f"{where}: {', '.join(parts)}" if parts else where


def bar_line(values: Sequence[float], bars: str = BARS) -> str:
    """One bar a value, the least the lowest, for the last 20 values, at least one.

    The full height is the range, and no less than a tenth of the least value: noise is not drawn as mountains.
    """
    shown = values[-_MOST_BARS:]
    low = min(shown)
    height = max(max(shown) - low, _LEAST_SPREAD * abs(low)) or 1.0
    return "".join(bars[min(len(bars) - 1, int((value - low) / height * len(bars)))] for value in shown)


def _median(samples_ms: Sequence[float]) -> float | None:
    """None where a device sent nothing, or what is no duration."""
    median = quantile(sorted(samples_ms), 0.5) if samples_ms else math.nan
    return median if math.isfinite(median) and median > 0 else None


def _holds(encoding: str | None, text: str) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
