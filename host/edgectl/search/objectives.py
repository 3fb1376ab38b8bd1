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


INSTRUCTIONS = Objective("insn", "minimize")
"""Instructions for one inference, in place of a latency: what an emulated board measures."""

KNOWN_OBJECTIVES = (*STANDARD_OBJECTIVES, INSTRUCTIONS)


def check_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """The objectives as a tuple.

    Raises:
        UsageError: there is none, two share a name, or times are to be optimized beside instructions.
    """
    names = [objective.name for objective in objectives]
    if not names:
        raise UsageError("the search has no objective", expected="at least one")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UsageError(f"objective {doubled[0]} is given twice", expected="one direction for each objective")
    if "p50_ms" in names and INSTRUCTIONS.name in names:
        raise UsageError(
            "the objectives p50_ms and insn in one study",
            expected="one of them: no device measures both, and they have no common measure",
            action="choose insn for an emulated board, p50_ms for a real one",
        )
    return tuple(objectives)


def measured_unit(objectives: Sequence[Objective]) -> Literal["ms", "insn"]:
    """What a study's candidates are measured in: instructions where it says so, else milliseconds."""
    return "insn" if any(objective.name == INSTRUCTIONS.name for objective in objectives) else "ms"


def directions_of(objectives: Sequence[Objective]) -> tuple[Direction, ...]:
    return tuple(objective.direction for objective in objectives)
