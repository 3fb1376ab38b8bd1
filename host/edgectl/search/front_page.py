# SPDX-License-Identifier: Apache-2.0
"""The front as a web page in one file: an SVG chart and a table, light or dark as the reader's system is.

Nothing is loaded from anywhere and there is no script. Every text from outside is escaped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

from edgectl_protos.errors import UsageError

from edgectl.search.front import Axis, Front, count_text, genome_text
from edgectl.search.front_layout import BOTTOM, HEIGHT, KEY_Y, LEFT, RIGHT, TOP, WIDTH, FrontLayout, Mark, lay_out
from edgectl.search.trial import Trial

STYLE = """
.front { --f-text: #1d2329; --f-muted: #5d6873; --f-line: #d9dee3; --f-back: #ffffff; --f-pareto: #1467b3;
  --f-rest: #8b97a3; color: var(--f-text); }
@media (prefers-color-scheme: dark) { .front { --f-text: #e6eaee; --f-muted: #9aa5b1; --f-line: #38414a;
  --f-back: #14181c; --f-pareto: #6cb2f2; --f-rest: #7d8996; } }
.front svg { display: block; width: 100%; max-width: 54rem; height: auto; }
.front svg text { fill: var(--f-muted); font: 12px system-ui, sans-serif; }
.front svg .title { fill: var(--f-text); font-size: 13px; }
.front svg .label { fill: var(--f-text); font-size: 11px; pointer-events: none; }
.front svg .grid { stroke: var(--f-line); stroke-width: .8; }
.front svg .stairs { fill: none; stroke: var(--f-pareto); stroke-width: 1.5; opacity: .6; }
.front svg circle { fill: var(--f-rest); fill-opacity: .32; stroke: var(--f-rest); stroke-width: 1.2; }
.front svg circle.pareto { fill: var(--f-pareto); fill-opacity: .82; stroke: var(--f-back); }
.front svg g:hover circle { stroke: var(--f-text); stroke-width: 2; }
.front .wide { overflow-x: auto; }
.front table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
.front th, .front td { padding: .3rem .6rem; border-bottom: 1px solid var(--f-line); text-align: right;
  white-space: nowrap; }
.front td.reason { text-align: left; white-space: normal; }
.front tr.pareto td:first-child { color: var(--f-pareto); font-weight: 600; }
.front .muted { color: var(--f-muted); }
""".strip()


def front_page(front: Front) -> str:
    """A whole HTML document."""
    name = escape(front.name)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edgectl search: {name}</title>\n"
        "<style>:root { color-scheme: light dark; } body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.2rem; "
        "background: #ffffff; font: 16px/1.5 system-ui, sans-serif; }\n"
        "@media (prefers-color-scheme: dark) { body { background: #14181c; color: #e6eaee; } }</style>\n"
        f"</head>\n<body>\n<h1>Search {name}</h1>\n{front_section(front)}\n</body>\n</html>\n"
    )


def front_section(front: Front) -> str:
    """The chart and the tables with their own style, to stand in any page; styles touch nothing outside `.front`."""
    parts = [
        f'<section class="front">\n<style>\n{STYLE}\n</style>',
        f'<p class="muted">{escape(count_text(front))}</p>',
    ]
    if front.complete and len(front.axes) >= 2:
        parts.append(_chart(lay_out(front)))
    if len(front.axes) > 2:
        parts.append(
            f'<p class="muted">The front is over all {len(front.axes)} objectives; the line bounds it in the two that '
            "are drawn. Point at a candidate for its figures.</p>"
        )
    if front.complete:
        parts.append(_table(front))
    if front.failed:
        parts.append(_failures(front))
    return "\n".join([*parts, "</section>"])


def write_front_page(path: Path, front: Front) -> None:
    """Writes the page; the file appears whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(front_page(front), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"page {path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _chart(layout: FrontLayout) -> str:
    described = escape(f"{layout.y_title} against {layout.x_title}")
    lines = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{described}">',
        *_frame(layout),
        *_key(layout),
        f'<polyline class="stairs" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in layout.stairs)}"/>',
        *(_mark(mark) for mark in layout.marks),
        *(_text(label.x, label.y, label.text, css="label", anchor="start") for label in layout.labels),
        "</svg>",
    ]
    return "\n".join(lines)


def _frame(layout: FrontLayout) -> Iterator[str]:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in layout.x_ticks:
        yield f'<line class="grid" x1="{tick.at:.1f}" x2="{tick.at:.1f}" y1="{TOP}" y2="{floor}"/>'
        yield _text(tick.at, floor + 18, tick.text)
    for tick in layout.y_ticks:
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{tick.at:.1f}" y2="{tick.at:.1f}"/>'
        yield _text(LEFT - 8, tick.at + 4, tick.text, anchor="end")
    yield _text((LEFT + right) / 2, HEIGHT - 14, layout.x_title, css="title")
    turned = f'transform="translate(18 {(TOP + floor) / 2:.1f}) rotate(-90)"'
    yield f'<text class="title" text-anchor="middle" {turned}>{escape(layout.y_title)}</text>'


def _key(layout: FrontLayout) -> Iterator[str]:
    for entry in layout.key:
        if entry.radius:
            yield _circle(entry.x, KEY_Y, entry.radius, pareto=entry.pareto)
        yield _text(entry.text_x, KEY_Y + 4, entry.text, anchor="start")


def _mark(mark: Mark) -> str:
    title = escape("\n".join(mark.details))
    return f"<g><title>{title}</title>{_circle(mark.x, mark.y, mark.radius, pareto=mark.pareto)}</g>"


def _circle(x: float, y: float, radius: float, *, pareto: bool) -> str:
    css = ' class="pareto"' if pareto else ""
    return f'<circle{css} cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'


def _text(x: float, y: float, text: str, *, css: str = "", anchor: str = "middle") -> str:
    attribute = f'class="{css}" ' if css else ""
    return f'<text {attribute}x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _table(front: Front) -> str:
    names = list(front.complete[0].genome)
    head = "".join(f"<th>{escape(text)}</th>" for text in ("candidate", *(a.title for a in front.axes), *names))
    pareto = [_row(trial, front.axes, css="pareto") for trial in front.members]
    rest = [_row(trial, front.axes, css="") for trial in front.dominated]
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{"".join([*pareto, *rest])}</table></div>'


def _row(trial: Trial, axes: tuple[Axis, ...], *, css: str) -> str:
    # The unit stands in the header, and the Pareto-optimal come first and in colour.
    values = [f"{axis.scaled(trial.objectives[axis.objective]):,.{axis.digits}f}" for axis in axes]
    cells = [f"#{trial.candidate}{' ●' if css else ''}", *values, *(genome_text(v) for v in trial.genome.values())]
    row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{css}">{row}</tr>\n' if css else f"<tr>{row}</tr>\n"


def _failures(front: Front) -> str:
    rows = []
    for trial in front.failed:
        genome = ", ".join(f"{name} = {genome_text(value)}" for name, value in trial.genome.items())
        reason, described = (f'<td class="reason">{escape(text)}</td>' for text in (trial.reason, genome))
        rows.append(f"<tr><td>#{trial.candidate}</td>{reason}{described}</tr>\n")
    return f'<h3>Failed</h3>\n<div class="wide"><table>\n{"".join(rows)}</table></div>'
