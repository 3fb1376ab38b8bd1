# SPDX-License-Identifier: Apache-2.0
"""Steady-state evolution with NSGA-II's ranking.

Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Trans. Evol.
Comput. 6(2), 2002: non-dominated sorting, crowding distance and the crowded comparison choose survivors and parents.
There are no generations: each ask ranks everything known so far, so a device never waits for a slower sibling.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from edgectl_protos.errors import UsageError

from edgectl.search.objectives import Objective, check_objectives, directions_of
from edgectl.search.pareto import crowding_distances, nondominated_ranks
from edgectl.search.space import Genome, SearchSpace
from edgectl.search.trial import Trial, TrialState


class EvolutionSampler:
    """Random until `warmup` candidates succeeded, then children of the best `population`.

    Args:
        space: where genomes live.
        objectives: what makes one better than another.
        population: survivors from which parents are drawn, at least 2.
        warmup: successful candidates before the first child, at least 2.
        crossover: probability that a child has two parents instead of one.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        population: int = 16,
        warmup: int = 8,
        crossover: float = 0.7,
    ) -> None:
        if population < 2 or warmup < 2:
            raise UsageError(
                f"evolution has population {population} and warmup {warmup}", expected="2 or more for both"
            )
        if not 0.0 <= crossover <= 1.0:
            raise UsageError(f"evolution has crossover {crossover}", expected="a probability from 0 to 1")
        self._space = space
        self._objectives = check_objectives(objectives)
        self._population = population
        self._warmup = warmup
        self._crossover = crossover

    def ask(self, history: Sequence[Trial], rng: random.Random) -> Genome:
        complete = [trial for trial in history if trial.state is TrialState.COMPLETE]
        if len(complete) < self._warmup:
            return self._space.sample(rng)
        survivors = self._ranked(complete)[: self._population]
        parent = _tournament(survivors, rng).genome
        if rng.random() < self._crossover:
            parent = self._space.crossover(parent, _tournament(survivors, rng).genome, rng)
        return self._space.mutate(parent, rng)

    def tell(self, trial: Trial) -> None:
        """All it needs is in the history."""

    def _ranked(self, trials: list[Trial]) -> list[Trial]:
        """Best first by the crowded comparison (Deb et al. 2002, section III-B): lower rank, then wider crowding."""
        points = [[trial.objectives[o.name] for o in self._objectives] for trial in trials]
        ranks = nondominated_ranks(points, directions_of(self._objectives))
        crowding = [0.0] * len(trials)
        for rank in set(ranks):
            front = [i for i, own in enumerate(ranks) if own == rank]
            for i, distance in zip(front, crowding_distances([points[i] for i in front]), strict=True):
                crowding[i] = distance
        order = sorted(range(len(trials)), key=lambda i: (ranks[i], -crowding[i], trials[i].candidate))
        return [trials[i] for i in order]


def _tournament(ranked: Sequence[Trial], rng: random.Random) -> Trial:
    """Binary tournament over a list that is sorted best first."""
    return ranked[min(rng.randrange(len(ranked)), rng.randrange(len(ranked)))]
