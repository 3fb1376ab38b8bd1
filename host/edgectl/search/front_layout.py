# SPDX-License-Identifier: Apache-2.0
"""Where everything on the front's chart lies, in pixels, y growing downwards: one layout for page and picture.

Labels are set only where they touch neither a point nor another label: a candidate without one is still in the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgectl.search.front import Axis, Front, genome_text
from edgectl.search.pareto import pareto_indices
from edgectl.search.trial import Trial

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 72, 28, 52, 60
KEY_Y = 24.0
SMALLEST, LARGEST = 4.5, 12.0  # radius of a point
MARGIN = 0.08  # of the range of values, kept free on either side
CHARACTER, LINE = 6.6, 12.0  # width and height of a label's character at 11 px

Xy = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One candidate; `details` are lines for a hover title."""

    x: float
    y: float
    radius: float
    pareto: bool
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """Text whose left end and baseline are at (x, y)."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A circle of that radius centred on (x, KEY_Y), or none where it is 0, and text that begins at `text_x`."""

    x: float
    radius: float
    pareto: bool
    text_x: float
    text: str


@dataclass(frozen=True, slots=True)
class FrontLayout:
    """Marks are in drawing order: the largest first, so that none hides another."""

    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    stairs: tuple[Xy, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    key: tuple[KeyEntry, ...]


def lay_out(front: Front) -> FrontLayout:
    """The chart of a front.

    Raises:
        ValueError: it has no complete candidate, or fewer than two objectives.
    """
    if not front.complete or len(front.axes) < 2:
        raise ValueError("a chart needs a complete candidate and two objectives")
    y_axis, x_axis, *others = front.axes
    x_scale = _Scale([_value(t, x_axis) for t in front.complete], start=LEFT, end=WIDTH - RIGHT, about=10)
    y_scale = _Scale([_value(t, y_axis) for t in front.complete], start=HEIGHT - BOTTOM, end=TOP, about=8)
    radii = _radii(front, others[0] if others else None)
    pareto = set(front.pareto)
    placed = [
        Mark(x_scale.at(_value(t, x_axis)), y_scale.at(_value(t, y_axis)), radii[i], i in pareto, _details(t, front))
        for i, t in enumerate(front.complete)
    ]
    stairs = _stairs(front, placed)
    order = sorted(range(len(placed)), key=lambda i: (placed[i].pareto, -placed[i].radius))
    return FrontLayout(
        x_title=_title(x_axis),
        y_title=_title(y_axis),
        x_ticks=x_scale.ticks(),
        y_ticks=y_scale.ticks(),
        stairs=stairs,
        marks=tuple(placed[i] for i in order),
        labels=_labels(front, placed, stairs),
        key=_key(front, radii, others[0] if others else None),
    )


_RESOLVED = 1e-6
"""Values closer than this share of their size are drawn as one: ticks between them would differ in no digit shown."""

_LEAST_SPARE = 1e-6


class _Scale:
    """Values on a line of pixels, with round ticks inside."""

    def __init__(self, values: Sequence[float], *, start: float, end: float, about: int) -> None:
        low, high = min(values), max(values)
        spare = MARGIN * (high - low)
        size = max(abs(low), abs(high))
        if spare <= _RESOLVED * size:
            spare = max(0.1 * size, _LEAST_SPARE)
        self._low, self._high = low - spare, high + spare
        self._start, self._end, self._about = start, end, about

    def at(self, value: float) -> float:
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self) -> tuple[Tick, ...]:
        rough = (self._high - self._low) / self._about
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        digits = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        values = [index * step for index in range(first, last + 1)]
        return tuple(Tick(self.at(value), f"{value + 0.0:,.{digits}f}") for value in values)


def _value(trial: Trial, axis: Axis) -> float:
    return axis.scaled(trial.objectives[axis.objective])


def _title(axis: Axis) -> str:
    return f"{axis.title}, {'higher' if axis.direction == 'maximize' else 'lower'} is better"


def _details(trial: Trial, front: Front) -> tuple[str, ...]:
    measured = [f"{axis.label} {axis.text(trial.objectives[axis.objective])}" for axis in front.axes]
    return (f"candidate #{trial.candidate}", *measured, *(f"{k} = {genome_text(v)}" for k, v in trial.genome.items()))


def _radii(front: Front, axis: Axis | None) -> list[float]:
    """Areas grow with the values, so that twice the bytes look like twice as much."""
    if axis is None:
        return [(SMALLEST + LARGEST) / 2] * len(front.complete)
    values = [trial.objectives[axis.objective] for trial in front.complete]
    most = max(values)
    if most <= 0 or min(values) < 0:
        return [(SMALLEST + LARGEST) / 2] * len(values)
    return [max(SMALLEST, LARGEST * math.sqrt(value / most)) for value in values]


def _key(front: Front, radii: Sequence[float], axis: Axis | None) -> tuple[KeyEntry, ...]:
    """What colours mean; then the least and the greatest value that sizes stand for."""
    entries = []
    x = float(LEFT)

    def add(text: str, *, radius: float, pareto: bool = False) -> None:
        nonlocal x
        text_x = x + (2 * radius + 5 if radius else 0)
        entries.append(KeyEntry(x + radius, radius, pareto, text_x, text))
        x = text_x + CHARACTER * 1.1 * len(text) + 14

    add("Pareto-optimal", radius=6, pareto=True)
    add("dominated", radius=6)
    if axis is not None:
        values = [trial.objectives[axis.objective] for trial in front.complete]
        add(f"{axis.label}:", radius=0)
        for i in dict.fromkeys((values.index(min(values)), values.index(max(values)))):
            add(axis.text(values[i]), radius=radii[i])
    return tuple(entries)


def _stairs(front: Front, placed: Sequence[Mark]) -> tuple[Xy, ...]:
    """The boundary of what is dominated in the two axes shown, as a step line through its corners."""
    y_axis, x_axis = front.axes[:2]
    points = [(_value(t, x_axis), _value(t, y_axis)) for t in front.complete]
    corners = sorted({(placed[i].x, placed[i].y) for i in pareto_indices(points, (x_axis.direction, y_axis.direction))})
    if x_axis.direction == "maximize":
        corners.reverse()
    line: list[Xy] = []
    for x, y in corners:
        if line:
            line.append((x, line[-1][1]))
        line.append((x, y))
    return tuple(line)


def _labels(front: Front, placed: Sequence[Mark], stairs: Sequence[Xy]) -> tuple[Label, ...]:
    circles = [(m.x - m.radius, m.y - m.radius, m.x + m.radius, m.y + m.radius) for m in placed]
    taken: list[Box] = []
    for (x1, y1), (x2, y2) in pairwise(stairs):
        taken.append((min(x1, x2), min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1))
    labels = []
    for i in front.pareto:
        mark, text = placed[i], f"#{front.complete[i].candidate}"
        width, reach = CHARACTER * len(text), mark.radius + 3
        diagonal = 0.7 * mark.radius + 3  # nearer than the corner of the circle's box, and clear of the circle
        others = [*taken, *circles[:i], *circles[i + 1 :]]
        for x, y in (
            (mark.x + diagonal, mark.y - diagonal),
            (mark.x - diagonal - width, mark.y - diagonal),
            (mark.x + diagonal, mark.y + diagonal + LINE * 0.75),
            (mark.x - diagonal - width, mark.y + diagonal + LINE * 0.75),
            (mark.x - width / 2, mark.y - reach),
            (mark.x - width / 2, mark.y + reach + LINE * 0.75),
        ):
            box = (x - 1, y - LINE * 0.75, x + width + 2, y + 1)
            if _inside(box) and not any(_touch(box, other) for other in others):
                taken.append(box)
                labels.append(Label(x, y, text))
                break
    return tuple(labels)


def _inside(box: Box) -> bool:
    return box[0] >= LEFT and box[1] >= TOP - LINE and box[2] <= WIDTH - RIGHT and box[3] <= HEIGHT - BOTTOM


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
