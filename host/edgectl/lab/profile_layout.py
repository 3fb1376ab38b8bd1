# SPDX-License-Identifier: Apache-2.0
"""Where everything on a profile's picture lies, in pixels, y growing downwards. Pure.

The run on top; below it the chain's calls in program order, as wide as their times; below a delegate its operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgectl.lab.profile import BOOKKEEPING, Profile, ProfiledCall, kind_name

WIDTH = 1160.0
BAND = 40.0
DEPTH = 246.0
GAP = 2.0
HEIGHT = 2 * (BAND + GAP) + DEPTH
FAMILIES = 5

BoxKind = Literal["run", "delegate", "operator", "kernel", "bookkeeping", "rest"]


@dataclass(frozen=True, slots=True)
class Box:
    """`family` is the place of an operator's family among the longest (0 to 4), None for all others.

    `share` (0 to 1) is of the whole run.
    """

    x: float
    y: float
    width: float
    height: float
    kind: BoxKind
    name: str
    p50_us: float
    share: float
    family: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Operators in delegates whose names differ by their number only; `share` (0 to 1) is of the whole run."""

    name: str
    count: int
    p50_us: float
    share: float


@dataclass(frozen=True, slots=True)
class ProfileLayout:
    """`families` are the longest, at most five; `rest` is of all others together, None where there are none."""

    boxes: tuple[Box, ...]
    families: tuple[Family, ...]
    rest: Family | None


def lay_out(profile: Profile) -> ProfileLayout:
    """The picture of a profile.

    Medians do not add up: where the calls' are more than the run's, the calls fill the width, and so within a
    delegate.
    """
    whole = max(profile.execute_p50_us, sum(call.p50_us for call in profile.calls)) or 1.0
    families = _families(profile, whole)
    places = {family.name: place for place, family in enumerate(families[:FAMILIES])}
    top = Box(0.0, 0.0, WIDTH, BAND, "run", "the whole run", profile.execute_p50_us, 1.0)
    rest = families[FAMILIES:]
    return ProfileLayout(
        boxes=(top, *_chain(profile, whole, places)),
        families=families[:FAMILIES],
        rest=_together(rest) if rest else None,
    )


def _families(profile: Profile, whole: float) -> tuple[Family, ...]:
    times: dict[str, list[float]] = {}
    for call in profile.calls:
        for operator in call.operators:
            times.setdefault(kind_name(operator.name), []).append(operator.p50_us)
    found = [Family(name, len(values), sum(values), sum(values) / whole) for name, values in times.items()]
    return tuple(sorted(found, key=lambda family: (-family.p50_us, family.name)))


def _together(families: tuple[Family, ...]) -> Family:
    count, p50_us = sum(one.count for one in families), sum(one.p50_us for one in families)
    return Family("other operators", count, p50_us, sum(one.share for one in families))


def _chain(profile: Profile, whole: float, places: dict[str, int]) -> Iterator[Box]:
    x, y = 0.0, BAND + GAP
    for call in profile.calls:
        width = WIDTH * call.p50_us / whole
        share = call.p50_us / whole
        if call.kind == "delegate":
            yield Box(x, y, width, BAND, "delegate", call.name, call.p50_us, share)
            yield from _operators(call, x, width, whole, places)
        else:
            kind: BoxKind = "bookkeeping" if call.name.startswith(BOOKKEEPING) else "kernel"
            yield Box(x, y, width, BAND + GAP + DEPTH, kind, call.name, call.p50_us, share)
        x += width
    left = whole - sum(call.p50_us for call in profile.calls)
    if left > 0:
        yield Box(x, y, WIDTH * left / whole, BAND, "rest", "rest of the run", left, left / whole)


def _operators(call: ProfiledCall, x: float, width: float, whole: float, places: dict[str, int]) -> Iterator[Box]:
    total = max(call.p50_us, sum(operator.p50_us for operator in call.operators)) or 1.0
    for operator in call.operators:
        own = width * operator.p50_us / total
        place = places.get(kind_name(operator.name))
        share = operator.p50_us / whole
        yield Box(x, 2 * (BAND + GAP), own, DEPTH, "operator", operator.name, operator.p50_us, share, place)
        x += own
