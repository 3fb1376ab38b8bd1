# SPDX-License-Identifier: Apache-2.0
"""The front's chart as a PNG, drawn by matplotlib without a display."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.errors import UsageError

from edgectl.search.front import Front, count_text
from edgectl.search.front_layout import (
    BOTTOM,
    HEIGHT,
    KEY_Y,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    FrontLayout,
    lay_out,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT, MUTED, GRID, PARETO, DOMINATED = "#1d2329", "#5d6873", "#d9dee3", "#1467b3", "#8b97a3"
PIXELS_PER_INCH = 100
SHARPNESS = 2  # PNG pixels to a layout pixel
POINTS = 72 / PIXELS_PER_INCH


def write_front_picture(path: Path, front: Front) -> None:
    """Writes the chart to `path` as a PNG of 1520 x 960 pixels; the file appears whole or not at all.

    Raises:
        UsageError: matplotlib is not installed, the front is empty, or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "matplotlib is not installed", expected="it for a picture", action="run: pip install 'edgectl[search]'"
        ) from None
    if not front.complete:
        raise UsageError(f"search {front.name} has no successful candidate to draw", action=count_text(front))
    caption = 40
    size = (WIDTH / PIXELS_PER_INCH, (HEIGHT + caption) / PIXELS_PER_INCH)
    figure = Figure(figsize=size, dpi=SHARPNESS * PIXELS_PER_INCH, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(HEIGHT, -caption)
    axes.text(LEFT, -12, front.name, color=TEXT, fontsize=15 * POINTS, weight="bold")
    axes.text(WIDTH - RIGHT, -12, count_text(front), color=MUTED, fontsize=12 * POINTS, ha="right")
    layout = lay_out(front)
    _draw_frame(axes, layout)
    _draw_points(axes, layout)
    _draw_key(axes, layout)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        canvas.print_figure(str(temporary), format="png", facecolor="white", metadata={"Software": None})
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"picture {path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _draw_frame(axes: Axes, layout: FrontLayout) -> None:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in layout.x_ticks:
        axes.plot([tick.at, tick.at], [TOP, floor], color=GRID, linewidth=0.6)
        axes.text(tick.at, floor + 18, tick.text, color=MUTED, fontsize=12 * POINTS, ha="center")
    for tick in layout.y_ticks:
        axes.plot([LEFT, right], [tick.at, tick.at], color=GRID, linewidth=0.6)
        axes.text(LEFT - 8, tick.at, tick.text, color=MUTED, fontsize=12 * POINTS, ha="right", va="center_baseline")
    axes.text((LEFT + right) / 2, HEIGHT - 16, layout.x_title, color=TEXT, fontsize=13 * POINTS, ha="center")
    axes.text(
        18, (TOP + floor) / 2, layout.y_title, color=TEXT, fontsize=13 * POINTS, ha="center", va="center", rotation=90
    )


def _draw_points(axes: Axes, layout: FrontLayout) -> None:
    axes.plot([x for x, _ in layout.stairs], [y for _, y in layout.stairs], color=PARETO, linewidth=1.1, alpha=0.6)
    for order, mark in enumerate(layout.marks, start=3):
        _draw_circle(axes, (mark.x, mark.y), mark.radius, pareto=mark.pareto, order=order)
    for label in layout.labels:
        axes.text(label.x, label.y, label.text, color=TEXT, fontsize=11 * POINTS, zorder=len(layout.marks) + 4)


def _draw_key(axes: Axes, layout: FrontLayout) -> None:
    for entry in layout.key:
        if entry.radius:
            _draw_circle(axes, (entry.x, KEY_Y), entry.radius, pareto=entry.pareto, order=3)
        axes.text(entry.text_x, KEY_Y + 4, entry.text, color=MUTED, fontsize=12 * POINTS)


def _draw_circle(axes: Axes, centre: tuple[float, float], radius: float, *, pareto: bool, order: int) -> None:
    axes.scatter(
        [centre[0]],
        [centre[1]],
        s=(2 * radius * POINTS) ** 2,
        facecolor=f"{PARETO}d0" if pareto else f"{DOMINATED}50",
        edgecolor="white" if pareto else DOMINATED,
        linewidth=0.9,
        zorder=order,
    )
