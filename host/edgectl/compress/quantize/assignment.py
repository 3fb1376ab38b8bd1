# SPDX-License-Identifier: Apache-2.0
"""Mixed precision within a bound on the loss: which layers have to stay float so that a metric loses no more than that.

Layers are ranked by their own error. The shortest prefix of the worst that, left float, holds the bound is found by
halving; then each of them is tried quantized again, the one with the most work first, and stays so where the bound
still holds (and the model is no slower, where a device says).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from edgectl.compress.data.example import Inputs
from edgectl.compress.mac_count import MAC_RULES
from edgectl.compress.quantize.calibration import calibrate, calibration_items
from edgectl.compress.quantize.layer_errors import layer_errors, ranked_places
from edgectl.compress.quantize.layers import place_of, weighted_layers
from edgectl.compress.quantize.passes.watching import watch
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work

Evaluate = Callable[[ModelState], float]
_POINTS = 100.0
_REFINED = 8
_REPORT_ITEMS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """What was found: the state, its metric and the float model's, which layers stay float, and after how many tries.

    `held` is false where not even the float model's own layers hold the bound (the passes before, or operators beside
    the layers, cost too much).
    """

    state: ModelState
    metric: float
    baseline: float
    kept_float: tuple[str, ...]
    evaluations: int
    held: bool

    def notes(self, bound: float) -> tuple[str, ...]:
        """What there is to say, in lines."""
        lost = (self.baseline - self.metric) * _POINTS
        layers = (
            f"{len(self.kept_float)} layers stay float: {', '.join(self.kept_float[:8])}"
            if self.kept_float
            else ("every layer is quantized")
        )
        kept = "within" if self.held else "NOT within"
        return (f"{lost:.2f} points lost, {kept} {bound:g}; {layers}; {self.evaluations} evaluations",)


def calibrate_within(
    state: ModelState,
    parameters: Quantize,
    batches: Iterable[Any],
    evaluate: Evaluate,
    *,
    generator: torch.Generator,
    latency: Callable[[ModelState], float] | None = None,
    work: Work = NEVER_PAUSED,
) -> Assignment:
    """Quantize so that the metric loses at most `parameters.max_degradation` points (hundredths) of the float model's.

    Args:
        state: float.
        parameters: as for `calibrate`.
        batches: calibration batches.
        evaluate: the metric of a state; more is better.
        generator: as for `calibrate`.
        latency: milliseconds of a state on a device; without it a layer's work stands for it.
        work: breathes between batches.

    Raises:
        CompileError, DatasetError, UsageError: see `calibrate`.
    """
    items = calibration_items(state, batches, most=parameters.calibration_items, generator=generator)
    search = _Search(state, parameters, items, evaluate, generator, latency, work)
    return search.run()


@dataclass(slots=True, eq=False)
class _Search:
    state: ModelState
    parameters: Quantize
    items: tuple[Inputs, ...]
    evaluate: Evaluate
    generator: torch.Generator
    latency: Callable[[ModelState], float] | None
    work: Work
    baseline: float = 0.0
    evaluations: int = 0

    def run(self) -> Assignment:
        self.baseline = self._metric(replace(self.state, quantization=None, cache={}))
        whole = self._quantized(())
        metric = self._metric(whole)
        if self._holds(metric):
            return self._assignment(whole, metric, (), held=True)
        ranked = ranked_places(layer_errors(whole, self.items[:_REPORT_ITEMS], work=self.work))
        best, metric, kept = self._shortest_prefix(ranked)
        if not self._holds(metric):
            return self._assignment(best, metric, kept, held=False)
        return self._refined(best, metric, kept)

    def _shortest_prefix(self, ranked: list[str]) -> tuple[ModelState, float, tuple[str, ...]]:
        low, high = 0, len(ranked)  # with `high` layers float it holds, as far as is known; with `low` it does not
        state = self._quantized(tuple(ranked))
        metric = self._metric(state)
        found = (state, metric, tuple(ranked))
        if not self._holds(metric):
            return found
        while high - low > 1:
            middle = (low + high) // 2
            kept = tuple(ranked[:middle])
            state = self._quantized(kept)
            metric = self._metric(state)
            if self._holds(metric):
                high, found = middle, (state, metric, kept)
            else:
                low = middle
        return found

    def _refined(self, state: ModelState, metric: float, kept: tuple[str, ...]) -> Assignment:
        cost = _work_by_place(self.state)
        for place in sorted(kept, key=lambda one: -cost.get(one, 0))[:_REFINED]:
            fewer = tuple(one for one in kept if one != place)
            candidate = self._quantized(fewer)
            reached = self._metric(candidate)
            if self._holds(reached) and self._no_slower(candidate, state):
                state, metric, kept = candidate, reached, fewer
        return self._assignment(state, metric, kept, held=True)

    def _no_slower(self, candidate: ModelState, state: ModelState) -> bool:
        return self.latency is None or self.latency(candidate) <= self.latency(state)

    def _quantized(self, kept_float: tuple[str, ...]) -> ModelState:
        seeded = torch.Generator().manual_seed(self.generator.initial_seed())
        return calibrate(
            self.state, self.parameters, self.items, generator=seeded, kept_float=kept_float, work=self.work
        )

    def _metric(self, state: ModelState) -> float:
        self.evaluations += 1
        return self.evaluate(state)

    def _holds(self, metric: float) -> bool:
        bound = self.parameters.max_degradation or 0.0
        return (self.baseline - metric) * _POINTS <= bound + 1e-9

    def _assignment(self, state: ModelState, metric: float, kept: tuple[str, ...], *, held: bool) -> Assignment:
        return Assignment(state, metric, self.baseline, kept, self.evaluations, held)


def _work_by_place(state: ModelState) -> dict[str, int]:
    """Multiplications of each layer, for one example."""
    work: dict[str, int] = {}

    def see(node: fx.Node, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
        rule = MAC_RULES.get(node.target)
        counted = rule(arguments, output) if rule is not None else None
        work[place_of(node)] = work.get(place_of(node), 0) + (counted or 0)

    nodes = {node for nodes in weighted_layers(state.graph).values() for node in nodes}
    watch(state.graph, nodes, [state.example_inputs], see)
    return work
