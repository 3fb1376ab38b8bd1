# SPDX-License-Identifier: Apache-2.0
"""Line charts as inline SVG. Colours come from the page's CSS classes, so that light and dark both work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

Point = tuple[float, float]

_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 44


@dataclass(frozen=True, slots=True)
class Series:
    """A named line; `points` are (x, y) in rising x."""

    name: str
    points: tuple[Point, ...]


def cumulative(samples: Sequence[float]) -> tuple[Point, ...]:
    """The empirical distribution of `samples`: (value, percent of samples at or below it), at most 200 points."""
    ordered = sorted(samples)
    count = len(ordered)
    picked = range(count) if count <= 200 else [round(step * (count - 1) / 199) for step in range(200)]
    return tuple((ordered[index], 100 * (index + 1) / count) for index in picked)


def line_chart(series: Sequence[Series], *, x_label: str, y_label: str) -> str:
    """An SVG of `series` over common axes, with a legend above and round tick values.

    Series without points are left out; with no points at all the chart says so.
    """
    drawn = [entry for entry in series if entry.points]
    if not drawn:
        return '<p class="muted">No points to draw.</p>'
    x_ticks = ticks([x for entry in drawn for x, _ in entry.points])
    y_ticks = ticks([y for entry in drawn for _, y in entry.points])

    def place(point: Point) -> tuple[float, float]:
        across = (point[0] - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (point[1] - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_label)}">']
    for value in x_ticks:
        x, y = place((value, y_ticks[0]))
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{value:g}</text>')
    for value in y_ticks:
        x, y = place((x_ticks[0], value))
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for index, entry in enumerate(drawn):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, entry.points))
        parts.append(f'<polyline class="series series-{index % 4}" points="{path}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text class="axis" transform="translate(14 {(_HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text></svg>'
    )
    names = "".join(f'<span class="key key-{i % 4}">{escape(entry.name)}</span>' for i, entry in enumerate(drawn))
    return f'<figure><figcaption class="legend">{names}</figcaption>{"".join(parts)}</figure>'


def ticks(values: Sequence[float], *, about: int = 5) -> list[float]:
    """Round values, evenly spaced, from at or below the least of `values` to at or above the greatest."""
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - (abs(low) * 0.1 or 1.0), high + (abs(high) * 0.1 or 1.0)
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]
