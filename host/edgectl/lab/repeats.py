# SPDX-License-Identifier: Apache-2.0
"""Several measurements of one program, some of which may have failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgectl_protos.errors import EdgectlError

from edgectl.lab.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Repeats:
    """In the order they were made. A spread is the greatest over the least, less 1; None where none was accepted."""

    runs: tuple[Measurement | EdgectlError, ...]

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return tuple(run for run in self.runs if isinstance(run, Measurement))

    @property
    def failed(self) -> tuple[EdgectlError, ...]:
        return tuple(run for run in self.runs if isinstance(run, EdgectlError))

    @property
    def accepted(self) -> tuple[Measurement, ...]:
        return tuple(run for run in self.measured if run.quality == "ok")

    @property
    def p50_spread(self) -> float | None:
        return _spread([run.p50 for run in self.accepted])

    @property
    def ratio_spread(self) -> float | None:
        """Of the ratios to the reference model."""
        return _spread([run.reference.ratio for run in self.accepted if run.reference])

    def document(self) -> dict[str, Any]:
        """As JSON; a run that failed is an object with its error."""
        return {
            "repeats": len(self.runs),
            "accepted": len(self.accepted),
            "failed": len(self.failed),
            "p50_spread": self.p50_spread,
            "ratio_spread": self.ratio_spread,
            "runs": [_document(run) for run in self.runs],
        }


def _document(run: Measurement | EdgectlError) -> dict[str, Any]:
    if isinstance(run, Measurement):
        return run.document()
    return {"error": {"code": run.code.value, "seen": run.seen, "expected": run.expected, "action": run.action}}


def _spread(values: Sequence[float]) -> float | None:
    return max(values) / min(values) - 1 if values else None
