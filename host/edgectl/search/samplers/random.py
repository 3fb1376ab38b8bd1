# SPDX-License-Identifier: Apache-2.0
"""Uniform random sampling: the baseline every other sampler has to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from edgectl.search.space import Genome, SearchSpace
from edgectl.search.trial import Trial


class RandomSampler:
    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def ask(self, history: Sequence[Trial], rng: random.Random) -> Genome:  # noqa: ARG002
        return self._space.sample(rng)

    def tell(self, trial: Trial) -> None:
        """Learns nothing."""
