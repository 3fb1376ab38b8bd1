# SPDX-License-Identifier: Apache-2.0
"""Two profiles side by side: by operator and place, and what else than the operators differs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgectl.lab.circumstances import found_at, in_words
from edgectl.lab.convert import printable
from edgectl.lab.profile import Profile, ProfileRow

_CIRCUMSTANCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("processor", ("device", "cpu_model")),
    ("processors", ("device", "cpu_count")),
    ("architecture", ("device", "architecture")),
    ("runtime", ("device", "runtime")),
    ("kernel", ("device", "kernel")),
    ("agent", ("device", "agent_version")),
    ("pinned to", ("runner", "cpus")),
    ("nice", ("runner", "nice")),
    ("memory limit", ("runner", "memory_limit_bytes")),
    ("governor", ("evidence", "governor.before")),
    ("edgectl", ("host_version",)),
)
_MOST_FEATURES = 12


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """An operator in its place, in this profile and in the other; None where it is on one side only.

    An operator that is a kernel here and inside the delegate there is two rows, each on one side.
    """

    name: str
    place: str
    here: ProfileRow | None
    there: ProfileRow | None

    @property
    def change_us(self) -> float:
        """Microseconds that it takes more here than there; an operator that is not there takes none."""
        return (self.here.p50_us if self.here else 0.0) - (self.there.p50_us if self.there else 0.0)

    @property
    def ratio(self) -> float | None:
        """Its time here over that there; None where it is on one side only, or its time there is 0."""
        return _ratio(self.here.p50_us, self.there.p50_us) if self.here and self.there else None

    def document(self) -> dict[str, Any]:
        here, there = self.here, self.there
        return {
            "operator": self.name,
            "place": self.place,
            "calls": here.calls if here else None,
            "p50_us": here.p50_us if here else None,
            "share": here.share if here else None,
            "against_calls": there.calls if there else None,
            "against_p50_us": there.p50_us if there else None,
            "against_share": there.share if there else None,
            "change_us": self.change_us,
            "ratio": self.ratio,
        }


@dataclass(frozen=True, slots=True)
class Circumstance:
    """Something the times depend on, as it was on either side, in words."""

    what: str
    here: str
    there: str

    def document(self) -> dict[str, str]:
        return {"what": self.what, "here": self.here, "against": self.there}


@dataclass(frozen=True, slots=True)
class ProfileDifference:
    """`here` against `there`; rows with the greatest change first, `circumstances` only where they differ.

    `same_bundle` is None where one of the profiles does not say whose it is.
    """

    here: Profile
    there: Profile
    same_bundle: bool | None
    rows: tuple[DifferenceRow, ...]
    circumstances: tuple[Circumstance, ...]

    @property
    def ratio(self) -> float | None:
        """The whole run here over that there."""
        return _ratio(self.here.execute_p50_us, self.there.execute_p50_us)

    def warnings(self) -> tuple[str, ...]:
        """What makes the two no comparison of one program, a line each."""
        if self.same_bundle:
            return ()
        if self.same_bundle is None:
            return ("one of the profiles does not say of which bundle it is: they may be of different programs",)
        here, there = self.here.bundle_digest[:12], self.there.bundle_digest[:12]
        doubt = "operators of one name need not do the same work"
        return (f"different programs: bundle {here} here, {there} on the other side; {doubt}",)

    def document(self) -> dict[str, Any]:
        """As JSON: `against` is the other side."""
        return {
            "against": {
                "device": self.there.device,
                "bundle_digest": self.there.bundle_digest,
                "runs": self.there.runs,
                "threads": self.there.threads,
                "execute_p50_us": self.there.execute_p50_us,
            },
            "same_bundle": self.same_bundle,
            "ratio": self.ratio,
            "operators": [row.document() for row in self.rows],
            "circumstances": [one.document() for one in self.circumstances],
            "warnings": list(self.warnings()),
        }


def profile_difference(here: Profile, there: Profile) -> ProfileDifference:
    """`here` against `there`."""
    ours, theirs = (_by_place(profile) for profile in (here, there))
    rows = [DifferenceRow(*key, ours.get(key), theirs.get(key)) for key in ours | theirs]
    return ProfileDifference(
        here=here,
        there=there,
        same_bundle=here.bundle_digest == there.bundle_digest if here.bundle_digest and there.bundle_digest else None,
        rows=tuple(sorted(rows, key=lambda row: (-abs(row.change_us), row.name, row.place))),
        circumstances=_circumstances(here, there),
    )


def _by_place(profile: Profile) -> dict[tuple[str, str], ProfileRow]:
    return {(row.name, row.place): row for row in profile.rows()}


def _circumstances(here: Profile, there: Profile) -> tuple[Circumstance, ...]:
    pairs = [
        ("device", here.device, there.device),
        ("threads", here.threads, there.threads),
        ("runs", here.runs, there.runs),
    ]
    pairs += [
        (what, found_at(here.provenance, path), found_at(there.provenance, path)) for what, path in _CIRCUMSTANCES
    ]
    differing = [Circumstance(what, in_words(ours), in_words(theirs)) for what, ours, theirs in pairs if ours != theirs]
    return (*differing, *_features(here, there))


def _features(here: Profile, there: Profile) -> tuple[Circumstance, ...]:
    """The features of the processor that only one of them has."""
    ours, theirs = (found_at(profile.provenance, ("device", "cpu_features")) for profile in (here, there))
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return ()
    mine, others = ({text for text in given if isinstance(text, str)} for given in (ours, theirs))
    if mine == others:
        return ()
    return (Circumstance("features of its own", _listed(mine - others), _listed(others - mine)),)


def _listed(features: set[str]) -> str:
    names = sorted(features)
    more = f" and {len(names) - _MOST_FEATURES} more" if len(names) > _MOST_FEATURES else ""
    return printable(" ".join(names[:_MOST_FEATURES]) + more) or "none"


def _ratio(here: float, there: float) -> float | None:
    return here / there if there > 0 else None
