# SPDX-License-Identifier: Apache-2.0
"""Profiles and what two of them differ in, as tables for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from edgectl.cli.output import Table
from edgectl.lab.profile import MUCH_UNACCOUNTED

if TYPE_CHECKING:
    from edgectl.lab.profile import Profile, ProfileRow
    from edgectl.lab.profile_difference import DifferenceRow, ProfileDifference

MOST_ROWS = 30

_Row = TypeVar("_Row")


def profile_table(profile: Profile, *, title: str, each: bool, every: bool) -> Table:
    """Operators, the longest first: those of a kind together or `each` alone, and 30 rows or `every` one."""
    rows = profile.each() if each else profile.rows()
    shown, rest = _split(rows, every=every)
    cells = [_cells(row) for row in shown]
    if rest:
        cells.append((f"{len(rest)} more", "", str(sum(row.calls for row in rest)), *_figures(rest)))
    threads = f"{profile.threads} thread{'' if profile.threads == 1 else 's'}"
    return Table(
        ("operator", "delegate or kernel", ">calls", ">p50 us", ">share"),
        tuple(cells),
        title=f"{title}: {us_text(profile.execute_p50_us)} us a run, {profile.runs} runs, {threads}",
        empty=f"{title}: the program calls no operator",
    )


def remarks(profile: Profile) -> str:
    """What runs outside a delegate, and what is in no call where that is much; a line each."""
    line = _outside(profile)
    if profile.unaccounted <= MUCH_UNACCOUNTED:
        return line
    return f"{line}\n{profile.unaccounted:.1%} of the run is in no call: between them, or the device was busy meanwhile"


def _outside(profile: Profile) -> str:
    outside = profile.outside()
    if not outside:
        return "every operator runs inside a delegate"
    calls = sum(row.calls for row in outside)
    share = sum(row.share for row in outside)
    return f"{calls} kernel{'' if calls == 1 else 's'} outside a delegate, {share:.1%} of the time"


def difference_table(difference: ProfileDifference, *, against: str, every: bool) -> Table:
    """Operators, those first whose time differs most: 30 of them and one line for the rest, or `every` one."""
    shown, rest = _split(difference.rows, every=every)
    cells = [_difference_cells(row) for row in shown]
    if rest:
        change = sum(row.change_us for row in rest)
        cells.append((f"{len(rest)} more", "", "", "", f"{change:+,.2f}", "", "", ""))
    there = us_text(difference.there.execute_p50_us)
    ratio = f", {difference.ratio:.2f} times as long" if difference.ratio is not None else ""
    return Table(
        ("operator", "delegate or kernel", ">here us", ">there us", ">change", ">ratio", ">share here", ">there"),
        tuple(cells),
        title=f"here against {against}: {us_text(difference.here.execute_p50_us)} us a run, {there} us there{ratio}",
        empty="neither program calls an operator",
    )


def circumstances_table(difference: ProfileDifference) -> Table:
    """What else the times depend on and is not the same."""
    rows = tuple((one.what, one.here, one.there) for one in difference.circumstances)
    return Table(("what differs", "here", "there"), rows, empty="what the times depend on is the same on both sides")


def us_text(value: float) -> str:
    """Microseconds for people: with two digits, as finely as a kernel is timed."""
    return f"{value:,.2f}"


def _split(rows: Sequence[_Row], *, every: bool) -> tuple[Sequence[_Row], Sequence[_Row]]:
    # One row too many takes the line that would stand for it.
    most = len(rows) if every or len(rows) <= MOST_ROWS + 1 else MOST_ROWS
    return rows[:most], rows[most:]


def _cells(row: ProfileRow) -> tuple[str, ...]:
    return (row.name, row.place, str(row.calls), *_figures((row,)))


def _figures(rows: Sequence[ProfileRow]) -> tuple[str, str]:
    return us_text(sum(row.p50_us for row in rows)), f"{sum(row.share for row in rows):.1%}"


def _difference_cells(row: DifferenceRow) -> tuple[str, ...]:
    times = (us_text(side.p50_us) if side else "-" for side in (row.here, row.there))
    shares = (f"{side.share:.1%}" if side else "-" for side in (row.here, row.there))
    if row.here and row.there:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    else:
        ratio = "only here" if row.here else "only there"
    return (row.name, row.place, *times, f"{row.change_us:+,.2f}", ratio, *shares)
