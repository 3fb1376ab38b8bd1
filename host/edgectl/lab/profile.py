# SPDX-License-Identifier: Apache-2.0
"""A program's time by operator, on one device, with its provenance. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["delegate", "kernel"]

KERNEL_PLACE = "kernel"
BOOKKEEPING = "executorch_prim::"
"""Kernels that only count and compare sizes; none of them can be delegated."""


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


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """Operators of one name taken together: where they ran, how often a run calls them, and their time in it.

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
        """The table: operators by name and place, the longest first.

        A delegate's own overhead (its call less its operators) is a row of its own, so that the shares add up to 1.
        """
        times: dict[tuple[str, str], list[float]] = {}
        for call in self.calls:
            if call.kind == "kernel":
                times.setdefault((call.name, KERNEL_PLACE), []).append(call.p50_us)
                continue
            for operator in call.operators:
                times.setdefault((operator.name, call.name), []).append(operator.p50_us)
            overhead = call.p50_us - sum(operator.p50_us for operator in call.operators)
            times.setdefault(("(delegate overhead)", call.name), []).append(max(0.0, overhead))
        total = sum(sum(values) for values in times.values()) or 1.0
        rows = [
            ProfileRow(name, place, len(values), sum(values), sum(values) / total)
            for (name, place), values in times.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.p50_us, row.name)))

    def outside(self) -> tuple[ProfileRow, ...]:
        """Rows of the kernels that ran outside a delegate, the longest first, without bookkeeping."""
        return tuple(row for row in self.rows() if row.outside)

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
