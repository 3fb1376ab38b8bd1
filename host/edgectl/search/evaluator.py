# SPDX-License-Identifier: Apache-2.0
"""How the search learns what a genome is worth; the only way it reaches models and devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edgectl.search.space import Genome

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

ProgressCallback = Callable[[str, float], None]
"""Takes the name of the phase and the part of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one candidate turned out to be: a finite value for each objective, and any other figures as JSON."""

    objectives: Mapping[str, float]
    figures: Mapping[str, Json] = field(default_factory=dict)


class Evaluator(Protocol):
    """Judges one genome at a time, in the caller's thread.

    An `EdgectlError` is the candidate's failure: it is recorded with its reason and the search goes on. Errors that say
    nothing of the candidate (`loop.ENDS_THE_SEARCH`: the device cannot be reached, the data cannot be loaded) end the
    search and leave the candidate to be asked again; so does any other exception, which is a defect.
    """

    def evaluate(self, genome: Genome, *, progress: ProgressCallback) -> Evaluation: ...
