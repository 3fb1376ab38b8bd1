# SPDX-License-Identifier: Apache-2.0
"""A program's time by operator, on one device, with its provenance. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["delegate", "kernel"]

KERNEL_PLACE = "kernel"
BOOKKEEPING = "executorch_prim::"
"""Kernels that only count and compare sizes; none of them can be delegated."""

MUCH_UNACCOUNTED = 0.1

_NUMBER = re.compile(r" #\d+$")


@dataclass(frozen=True, slots=True)
class ProfiledOperator:
    """An operator inside a delegate; the median over the runs in microseconds."""

    name: str
    p50_us: float


@dataclass(frozen=True, slots=True)
class ProfiledCall:
    """One call of the program's chain, in its order: a delegate with its operators, or a kernel."""

    index: int
    kind: Kind
    name: str
    p50_us: float
    operators: tuple[ProfiledOperator, ...] = ()

    @property
    def place(self) -> str:
        """The delegate's name, or "kernel"."""
        return self.name if self.kind == "delegate" else KERNEL_PLACE

    def parts(self) -> Iterator[tuple[str, float]]:
        """What its time is made of: names and microseconds; a delegate's last part is its own overhead."""
        if self.kind == "kernel":
            yield self.name, self.p50_us
            return
        yield from ((operator.name, operator.p50_us) for operator in self.operators)
        # Medians need not add up: the operators' may be more than their call's.
        yield "(delegate overhead)", max(0.0, self.p50_us - sum(operator.p50_us for operator in self.operators))


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """Operators of one kind taken together: where they ran, how often a run calls them, and their time in it.

    `place` is the delegate's name, or "kernel" for those outside a delegate; `share` (0 to 1) is of all operators.
    """

    name: str
    place: str
    calls: int
    p50_us: float
    share: float

    @property
    def outside(self) -> bool:
        """A kernel outside a delegate that does the program's work."""
        return self.place == KERNEL_PLACE and not self.name.startswith(BOOKKEEPING)

    def document(self) -> dict[str, Any]:
        return {
            "operator": self.name,
            "place": self.place,
            "calls": self.calls,
            "p50_us": self.p50_us,
            "share": self.share,
        }


@dataclass(frozen=True, slots=True)
class Profile:
    """Medians over `runs` runs; `execute_p50_us` is the whole run, with the tracer at work.

    `etdump` is the ETDump file of the same runs, empty where it was not asked for.
    """

    runs: int
    threads: int
    execute_p50_us: float
    calls: tuple[ProfiledCall, ...]
    device: str
    bundle_digest: str
    provenance: dict[str, Any] = field(default_factory=dict)
    etdump: bytes = field(default=b"", repr=False)

    def rows(self) -> tuple[ProfileRow, ...]:
        """The table: operators by kind and place, the longest first.

        A delegate numbers its operators, from 1 in each of its calls; those of one kind are taken together. Its own
        overhead (its call less its operators) is a row of its own, so that the shares add up to 1.
        """
        times: dict[tuple[str, str], list[float]] = {}
        for call in self.calls:
            for name, p50_us in call.parts():
                times.setdefault((kind_name(name), call.place), []).append(p50_us)
        return _ranked((name, place, values) for (name, place), values in times.items())

    def each(self) -> tuple[ProfileRow, ...]:
        """Every operator of every call in a row of its own, the longest first; `place` says in which call it was."""
        return _ranked(
            (name, call.place if call.kind == "kernel" else f"{call.place}, call {call.index}", [p50_us])
            for call in self.calls
            for name, p50_us in call.parts()
        )

    def outside(self) -> tuple[ProfileRow, ...]:
        """Rows of the kernels that ran outside a delegate, the longest first, without bookkeeping."""
        return tuple(row for row in self.rows() if row.outside)

    @property
    def unaccounted(self) -> float:
        """The part (0 to 1) of the run's median that is in none of its calls' medians.

        In a program of a few microseconds that is the loop between the calls. Otherwise the device was busy: other work
        interrupts a whole run more often than any one call, so that runs take longer than what their calls add up to.
        """
        return max(0.0, 1.0 - sum(call.p50_us for call in self.calls) / self.execute_p50_us)

    def document(self) -> dict[str, Any]:
        """As JSON: the table, and the calls it was made of."""
        return {
            "unit": "us",
            "runs": self.runs,
            "threads": self.threads,
            "execute_p50_us": self.execute_p50_us,
            "operators": [row.document() for row in self.rows()],
            "calls": [
                {
                    "index": call.index,
                    "kind": call.kind,
                    "name": call.name,
                    "p50_us": call.p50_us,
                    "operators": [{"name": one.name, "p50_us": one.p50_us} for one in call.operators],
                }
                for call in self.calls
            ],
            "device": self.device,
            "bundle_digest": self.bundle_digest,
            "provenance": self.provenance,
        }


def kind_name(operator: str) -> str:
    """`Convolution (NHWC, F32) IGEMM #2` without its number."""
    return _NUMBER.sub("", operator)


def _ranked(entries: Iterable[tuple[str, str, list[float]]]) -> tuple[ProfileRow, ...]:
    found = list(entries)
    total = sum(sum(values) for _, _, values in found) or 1.0
    rows = (ProfileRow(name, place, len(values), sum(values), sum(values) / total) for name, place, values in found)
    return tuple(sorted(rows, key=lambda row: (-row.p50_us, row.name)))
