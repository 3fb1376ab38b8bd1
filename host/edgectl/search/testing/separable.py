# SPDX-License-Identifier: Apache-2.0
"""A search problem with a known answer: no model, no device, no noise."""

from __future__ import annotations

from collections.abc import Mapping

from edgectl_protos.errors import CompileError

from edgectl.search.evaluator import Evaluation, ProgressCallback
from edgectl.search.objectives import Objective
from edgectl.search.space import Genome, Integers, SearchSpace

STEPS = 15
OBJECTIVES = (Objective("accuracy", "maximize"), Objective("p50_ms", "minimize"))


def separable_space(dimensions: int = 8) -> SearchSpace:
    """Integers 0 to 15 in each of `dimensions` dimensions."""
    return SearchSpace(tuple(Integers(f"x{i}", 0, STEPS) for i in range(dimensions)))


class SeparableEvaluator:
    """The first dimension trades accuracy against latency; every other one only costs when it is off its best value.

    accuracy = (x0 - error) / 15 and p50_ms = 1 + x0 + error, where error is the sum over the other dimensions of
    |x_i - best_i| and best_i = 3 i mod 16. The Pareto front is error = 0 with any x0.

    Args:
        failures: values of x0 for which a candidate fails, with the reason it gives.
    """

    def __init__(self, *, failures: Mapping[int, str] | None = None) -> None:
        self._failures = dict(failures or {})
        self.evaluated: list[Genome] = []

    def evaluate(self, genome: Genome, *, progress: ProgressCallback) -> Evaluation:
        self.evaluated.append(dict(genome))
        first, *others = (int(value) for value in genome.values())
        progress("evaluate", 0.5)
        if first in self._failures:
            raise CompileError(self._failures[first])
        error = sum(abs(value - 3 * i % (STEPS + 1)) for i, value in enumerate(others, start=1))
        return Evaluation({"accuracy": (first - error) / STEPS, "p50_ms": 1.0 + first + error}, {"error": error})
