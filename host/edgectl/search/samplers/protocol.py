# SPDX-License-Identifier: Apache-2.0
"""Ask and tell: what a search loop and a sampler know of each other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from edgectl.search.space import Genome
from edgectl.search.trial import Trial


class Sampler(Protocol):
    """Proposes genomes. All randomness comes from `rng`: the same history and rng state give the same genome.

    The loop tells every finished trial once, in the order of candidates and before the next ask; after a resume it
    tells those of the earlier run first. What a sampler can read from `history` it need not keep.
    """

    def ask(self, history: Sequence[Trial], rng: random.Random) -> Genome:
        """A genome of the space, which may have been evaluated before; `history` holds the finished trials."""
        ...

    def tell(self, trial: Trial) -> None:
        """Takes note of a finished trial, complete or failed."""
        ...
