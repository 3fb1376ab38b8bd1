# SPDX-License-Identifier: Apache-2.0
"""What a search optimizes: named figures, each with a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgectl_protos.errors import UsageError

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Objective:
    name: str
    direction: Direction

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError("an objective has an empty name", expected="a name such as p50_ms")
        if self.direction not in ("maximize", "minimize"):
            raise UsageError(f"objective {self.name} has direction {self.direction!r}", expected="maximize or minimize")


STANDARD_OBJECTIVES = (
    Objective("accuracy", "maximize"),
    Objective("p50_ms", "minimize"),
    Objective("program_bytes", "minimize"),
)


def check_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives as a tuple.

    Raises:
        UsageError: there is none, or two share a name.
    """
    names = [objective.name for objective in objectives]
    if not names:
        raise UsageError("the search has no objective", expected="at least one")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UsageError(f"objective {doubled[0]} is given twice", expected="one direction for each objective")
    return tuple(objectives)


def directions_of(objectives: Sequence[Objective]) -> tuple[Direction, ...]:
    return tuple(objective.direction for objective in objectives)
