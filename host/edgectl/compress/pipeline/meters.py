# SPDX-License-Identifier: Apache-2.0
"""What only lowering and a device can say of a state. Whoever can lower gives a meter; this package cannot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edgectl.compress.state import ModelState


@dataclass(frozen=True, slots=True)
class ProgramFigures:
    """A lowered program: sizes in bytes, latency in milliseconds on `device`; None where it was not measured."""

    program_bytes: int
    compressed_bytes: int
    planned_bytes: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    peak_bytes: int | None = None
    device: str = ""
    undelegated: dict[str, int] = field(default_factory=dict)


class ProgramMeter(Protocol):
    """Lowers a state and measures its program."""

    @property
    def measures_latency(self) -> bool:
        """Whether a device is at hand."""
        ...

    def figures(self, state: ModelState) -> ProgramFigures | None:
        """The figures, None where the state cannot be lowered.

        Raises:
            EdgectlError: the device failed.
        """
        ...

    def p95_ms(self, state: ModelState) -> float:
        """The latency that a budget is held against.

        Raises:
            EdgectlError: the state cannot be lowered or timed.
        """
        ...
