# SPDX-License-Identifier: Apache-2.0
"""One try at one candidate, as the study remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edgectl.search.evaluator import Json
from edgectl.search.space import Genome


class TrialState(StrEnum):
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Trial:
    """`number` counts tries, `candidate` counts genomes: an interrupted candidate is tried again under a new number.

    Figures and seconds are there once it ended; reason and error_code where it failed or was interrupted.
    """

    number: int
    candidate: int
    genome: Genome
    state: TrialState
    objectives: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Json] = field(default_factory=dict)
    reason: str = ""
    error_code: str = ""
    seconds: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether there is a result, good or bad; an interrupted try has none."""
        return self.state in (TrialState.COMPLETE, TrialState.FAILED)
