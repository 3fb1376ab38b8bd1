# SPDX-License-Identifier: Apache-2.0
"""A profile as a web page in one file: a flame-like picture and tables, light or dark as the reader's system is. Pure.

Nothing is loaded from anywhere and there is no script. Every text from outside is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from edgectl.lab.convert import printable
from edgectl.lab.profile import MUCH_UNACCOUNTED, Profile, ProfileRow
from edgectl.lab.profile_difference import DifferenceRow, ProfileDifference
from edgectl.lab.profile_layout import (
    BAND,
    DEPTH,
    FAMILIES,
    GAP,
    HEIGHT,
    WIDTH,
    Box,
    Family,
    ProfileLayout,
    lay_out,
)

_CHARACTER = 6.7  # width of a label's character at 12 px
_LINE = 15.0
_LEAST_LYING, _LEAST_STANDING = 46.0, 13.0  # widths that a label fits into

_CAPTION = """
<p class="muted caption">From the top: the run; its calls in program order, as wide as their time; the operators of each
delegate. What is blank under a delegate is its own overhead. Point at a box for its figures.</p>
""".strip()

STYLE = """
.profile { --p-text: #1d2329; --p-muted: #5d6873; --p-line: #d9dee3; --p-run: #d3dbe3; --p-delegate: #e3eaf1;
  --p-0: #9cc8f2; --p-1: #a5dbbb; --p-2: #cdbdf0; --p-3: #98d8de; --p-4: #d3d99b; --p-other: #d2d8de;
  --p-warn: #f8b383; --p-warn-edge: #b93b0a; color: var(--p-text); }
@media (prefers-color-scheme: dark) { .profile { --p-text: #e6eaee; --p-muted: #9aa5b1; --p-line: #38414a;
  --p-run: #323c46; --p-delegate: #252e37; --p-0: #2c5e92; --p-1: #2a6646; --p-2: #564688; --p-3: #27666d;
  --p-4: #5c602a; --p-other: #434d57; --p-warn: #8a3f12; --p-warn-edge: #fb923c; } }
.profile .wide { overflow-x: auto; }
.profile .picture { min-width: 56rem; }
.profile svg.flame { display: block; width: 100%; height: auto; }
.profile svg text { fill: var(--p-text); font: 12px system-ui, sans-serif; pointer-events: none; }
.profile svg rect { fill: var(--p-other); }
.profile svg .run rect { fill: var(--p-run); }
.profile svg .delegate rect { fill: var(--p-delegate); }
.profile svg .rest rect { fill: none; stroke: var(--p-line); stroke-dasharray: 3 3; }
.profile svg .kernel rect { fill: var(--p-warn); stroke: var(--p-warn-edge); stroke-width: 1.5; }
.profile svg g:hover rect { filter: brightness(1.12); stroke: var(--p-text); stroke-width: 1.5; }
.profile ul.key { list-style: none; margin: .4rem 0 1.6rem; padding: 0; display: flex; flex-wrap: wrap;
  gap: .3rem 1.4rem; font-size: .85rem; }
.profile .swatch { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; border-radius: 2px;
  vertical-align: -.08rem; background: var(--p-other); }
.profile .warn .swatch, .profile .warn .bar { background: var(--p-warn); outline: 1px solid var(--p-warn-edge); }
.profile .warn td:first-child, .profile p.warn { font-weight: 600; }
.profile table { margin-bottom: 1rem; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
.profile th, .profile td { padding: .25rem .7rem; border-bottom: 1px solid var(--p-line); text-align: left; }
.profile td { overflow-wrap: anywhere; }
.profile .number { text-align: right; white-space: nowrap; }
.profile td.share { width: 10rem; }
.profile .bar { display: block; height: .7rem; border-radius: 2px; background: var(--p-other); }
.profile .caption { font-size: .85rem; margin: .4rem 0; }
.profile td.muted { white-space: nowrap; }
.profile .muted { color: var(--p-muted); }
""".strip()

_FAMILY_STYLE = "\n".join(
    f".profile svg .f{place} rect {{ fill: var(--p-{place}); }} "
    f".profile .f{place} .swatch, .profile .f{place} .bar {{ background: var(--p-{place}); }}"
    for place in range(FAMILIES)
)


def profile_page(profile: Profile, *, title: str, difference: ProfileDifference | None = None) -> str:
    """A whole HTML document; `difference` is of this profile against another."""
    name = _text(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edgectl profile: {name}</title>\n"
        "<style>:root { color-scheme: light dark; } body { margin: 0 auto; max-width: 72.5rem; padding: 2rem 1.2rem; "
        "background: #ffffff; font: 16px/1.5 system-ui, sans-serif; }\n"
        "@media (prefers-color-scheme: dark) { body { background: #14181c; color: #e6eaee; } }</style>\n"
        f"</head>\n<body>\n<h1>{name}</h1>\n{profile_section(profile, difference)}\n</body>\n</html>\n"
    )


def profile_section(profile: Profile, difference: ProfileDifference | None = None) -> str:
    """Picture and tables with their own style, to stand in any page; styles touch nothing outside `.profile`."""
    layout = lay_out(profile)
    parts = [
        f'<section class="profile">\n<style>\n{STYLE}\n{_FAMILY_STYLE}\n</style>',
        _summary(profile),
        _picture(layout),
        _key(layout),
        _table(profile, layout),
    ]
    if difference is not None:
        parts += [_difference(difference), _circumstances(difference)]
    parts += ["<h2>Provenance</h2>", _provenance(profile)]
    return "\n".join([*parts, "</section>"])


def _summary(profile: Profile) -> str:
    threads = f"{profile.threads} thread{'' if profile.threads == 1 else 's'}"
    line = (
        f"<p><strong>{_us(profile.execute_p50_us)} µs</strong> a run: the median of {profile.runs} runs, {threads}. "
        '<span class="muted">The tracer was at work: time a program with <code>edgectl bench</code>, and read here '
        "where its time goes.</span></p>"
    )
    if profile.unaccounted > MUCH_UNACCOUNTED:
        line += (
            f"\n<p>{profile.unaccounted:.1%} of the run is in no call: between them, or the device was busy with other "
            "things, which interrupt a whole run more often than one of its calls.</p>"
        )
    return f"{line}\n{_outside(profile)}"


def _outside(profile: Profile) -> str:
    outside = profile.outside()
    if not outside:
        return '<p class="muted">All operators run inside a delegate.</p>'
    names = ", ".join(_text(row.name) for row in outside[:5]) + (", …" if len(outside) > 5 else "")
    share = sum(row.share for row in outside)
    calls = sum(row.calls for row in outside)
    one = "kernel runs" if calls == 1 else "kernels run"
    return f'<p class="warn">⚠ {calls} {one} outside a delegate, {share:.1%} of the time: {names}</p>'


def _picture(layout: ProfileLayout) -> str:
    lines = [
        '<div class="wide"><div class="picture">',
        f'<svg class="flame" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="time by call and operator">',
        *(_box(box) for box in layout.boxes),
        "</svg></div></div>",
        _CAPTION,
    ]
    return "\n".join(lines)


def _box(box: Box) -> str:
    css = box.kind if box.family is None else f"{box.kind} f{box.family}"
    note = " (outside a delegate)" if box.kind == "kernel" else ""
    figures = f"{_us(box.p50_us)} µs, {box.share:.1%} of the run"
    width = box.width - GAP if box.width > 3 * GAP else box.width
    # An inner svg cuts off what stands over its edge, whatever the reader's font.
    return (
        f'<g class="{css}"><title>{_text(box.name)}{note}\n{figures}</title>'
        f'<svg x="{box.x:.2f}" y="{box.y:g}" width="{width:.2f}" height="{box.height:g}">'
        f'<rect width="{width:.2f}" height="{box.height:g}" rx="2"/>{"".join(_label(box, width))}</svg></g>'
    )


def _label(box: Box, width: float) -> Iterator[str]:
    name = f"⚠ {box.name}" if box.kind == "kernel" else box.name
    figures = f"{_us(box.p50_us)} µs · {box.share:.1%}"
    standing = box.height > BAND and width < _CHARACTER * min(len(name), 24)
    if standing and width >= _LEAST_STANDING:
        # Read from the top downwards; a second line where there is room beside it.
        middle = width / 2 + (4 if width < 2 * _LINE + 4 else _LINE / 2 + 4)
        yield f'<text transform="translate({middle - 8:.1f} 8) rotate(90)">{_fitting(name, DEPTH - 12)}</text>'
        if width >= 2 * _LINE + 4:
            yield f'<text transform="translate({middle - 8 - _LINE:.1f} 8) rotate(90)">{figures}</text>'
    elif not standing and width >= _LEAST_LYING:
        yield f'<text x="7" y="17">{_fitting(name, width - 10)}</text>'
        yield f'<text x="7" y="{17 + _LINE:g}">{_fitting(figures, width - 10)}</text>'


def _fitting(text: str, room: float) -> str:
    most = max(1, int(room / _CHARACTER))
    return _text(text if len(text) <= most else f"{text[: most - 1]}…")


def _key(layout: ProfileLayout) -> str:
    entries = [_key_entry(family, f"f{place}") for place, family in enumerate(layout.families)]
    if layout.rest is not None:
        entries.append(_key_entry(layout.rest, ""))
    kernels = [box for box in layout.boxes if box.kind == "kernel"]
    if kernels:
        p50_us, share = sum(box.p50_us for box in kernels), sum(box.share for box in kernels)
        entries.append(_key_entry(Family("kernels outside a delegate", len(kernels), p50_us, share), "warn"))
    return f'<ul class="key">{"".join(entries)}</ul>'


def _key_entry(family: Family, css: str) -> str:
    figures = f'<span class="muted">{family.count} × · {_us(family.p50_us)} µs · {family.share:.1%}</span>'
    return f'<li class="{css}"><span class="swatch"></span>{_text(family.name)} {figures}</li>'


def _table(profile: Profile, layout: ProfileLayout) -> str:
    rows = profile.rows()
    places = {family.name: place for place, family in enumerate(layout.families)}
    longest = max((row.share for row in rows), default=0.0) or 1.0
    body = "\n".join(_row(row, places.get(row.name), longest) for row in rows)
    head = _cells("th", (("operator", ""), ("where", ""), ("calls", "number"), ("p50 in µs", "number")))
    head += '<th class="number">share</th><th></th>'
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _row(row: ProfileRow, family: int | None, longest: float) -> str:
    css = "warn" if row.outside else "" if family is None else f"f{family}"
    where = "kernel, outside a delegate" if row.outside else row.place
    cells = _cells(
        "td",
        (
            (row.name, ""),
            (where, ""),
            (str(row.calls), "number"),
            (_us(row.p50_us), "number"),
            (f"{row.share:.1%}", "number"),
        ),
    )
    bar = f'<td class="share"><span class="bar" style="width: {100 * row.share / longest:.1f}%"></span></td>'
    return f'<tr class="{css}">{cells}{bar}</tr>'


def _difference(difference: ProfileDifference) -> str:
    ratio = f", {difference.ratio:.2f} times as long" if difference.ratio is not None else ""
    here, there = _us(difference.here.execute_p50_us), _us(difference.there.execute_p50_us)
    line = f"{here} µs a run here, {there} µs on {_text(difference.there.device)}{ratio}."
    warnings = "".join(f'<p class="warn">⚠ {_text(warning)}</p>\n' for warning in difference.warnings())
    titles = ("p50 here", "p50 there", "change in µs", "ratio", "share here", "share there")
    head = _cells("th", (("operator", ""), ("where", ""), *((title, "number") for title in titles)))
    body = "\n".join(_difference_row(row) for row in difference.rows)
    return (
        f"<h2>Against {_text(difference.there.device)}</h2>\n{warnings}<p>{line}</p>\n"
        f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'
    )


def _difference_row(row: DifferenceRow) -> str:
    outside = any(side is not None and side.outside for side in (row.here, row.there))
    return f'<tr class="{"warn" if outside else ""}">{_cells("td", _difference_cells(row))}</tr>'


def _difference_cells(row: DifferenceRow) -> Iterator[tuple[str, str]]:
    yield row.name, ""
    yield row.place, ""
    yield from ((_us(side.p50_us) if side else "–", "number") for side in (row.here, row.there))
    yield f"{row.change_us:+,.2f}", "number"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    yield ratio if row.here and row.there else "only here" if row.here else "only there", "number"
    yield from ((f"{side.share:.1%}" if side else "–", "number") for side in (row.here, row.there))


def _circumstances(difference: ProfileDifference) -> str:
    if not difference.circumstances:
        return '<p class="muted">What the times depend on is the same on both sides, as far as the devices tell.</p>'
    rows = "\n".join(
        f"<tr>{_cells('td', ((one.what, 'muted'), (one.here, ''), (one.there, '')))}</tr>"
        for one in difference.circumstances
    )
    head = _cells("th", (("what differs", ""), ("here", ""), ("there", "")))
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'


def _provenance(profile: Profile) -> str:
    entries = [("device", profile.device), ("bundle", profile.bundle_digest), *_flat(profile.provenance)]
    rows = "\n".join(f"<tr>{_cells('td', ((name, 'muted'), (value, '')))}</tr>" for name, value in entries)
    return f'<div class="wide"><table>\n{rows}\n</table></div>'


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Entries by their dotted names; a reading that is unavailable says why."""
    for key, value in document.items():
        if isinstance(value, Mapping) and value.keys() == {"unavailable"}:
            yield f"{prefix}{key}", f"unavailable: {value['unavailable']}"
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", " ".join(map(str, value))
        elif value is not None:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _cells(tag: str, cells: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<{tag} class="{css}">{_text(text)}</{tag}>' if css else f"<{tag}>{_text(text)}</{tag}>" for text, css in cells
    )


def _us(value: float) -> str:
    return f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}"


def _text(text: str) -> str:
    return escape(printable(text))
