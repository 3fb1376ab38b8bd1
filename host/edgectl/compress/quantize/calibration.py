# SPDX-License-Identifier: Apache-2.0
"""The `quantize` stage: which layer becomes what, ranges from calibration batches, and what had to stay float.

A layer that cannot be annotated, observed or converted is found by halving and stays float, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from edgectl_protos.errors import CompileError
from torch.fx import GraphModule

from edgectl.compress.data.batches import kept_batches
from edgectl.compress.data.example import Example, Inputs
from edgectl.compress.data.running import pieces
from edgectl.compress.named_places import check_places
from edgectl.compress.quantize.conversion import finished, observed_ranges, prepare, quantized_graph
from edgectl.compress.quantize.int4 import int4_obstacle
from edgectl.compress.quantize.layers import LINEAR, WEIGHTED, is_call, place_of, weight_name, weighted_layers
from edgectl.compress.quantize.materialization import CONVERTED
from edgectl.compress.quantize.spec import FLOAT, FP16, INT4_WEIGHTS, INT8_DYNAMIC, QuantizationSpec
from edgectl.compress.reasons import first_line
from edgectl.compress.stages import Quantize, stage_document
from edgectl.compress.state import Edit, Frozen, ModelState
from edgectl.cores import NEVER_PAUSED, Work

STAGE = "quantize"
_MOST_AT_ONCE = 256
_MOST_ATTEMPTS = 64
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A layer that stays float, and why."""

    place: str
    reason: str


def calibrate(
    state: ModelState,
    parameters: Quantize,
    batches: Iterable[Any],
    *,
    generator: torch.Generator,
    kept_float: Sequence[str] = (),
    work: Work = NEVER_PAUSED,
) -> ModelState:
    """The state that is quantized when lowered. Its graph stays the float master; the data is not kept.

    `parameters.passes` change the master's weights (equalization, SmoothQuant, AdaRound, bias correction, in this
    order), after batch norm is folded into them. What stays float is in the new state's `frozen`.

    Args:
        state: float, or quantized before, which is forgotten.
        parameters: scheme, observer, passes, targets, exclusions and overrides.
        batches: tuples of the model's inputs, any number of items in each.
        generator: draws the items, and the order in which AdaRound sees them.
        kept_float: exact places that stay float whatever the parameters say.
        work: breathes between batches.

    Raises:
        CompileError: a weight is not finite.
        DatasetError: the batches do not fit the example.
        UsageError: a target, exclusion or override fits no layer.
    """
    check_weights(state)
    spec = spec_of(state, parameters)
    items = calibration_items(state, batches, most=parameters.calibration_items, generator=generator)
    state = replace(state, quantization=None, cache={})
    chosen = (Obstacle(place, "its error costs more than the bound allows") for place in kept_float)
    obstacles = (*foreseen_obstacles(state, spec), *chosen)
    spec = spec.keeping_float(obstacle.place for obstacle in obstacles)
    with work.working("quantization"), torch.no_grad():
        if parameters.passes:
            from edgectl.compress.quantize.passes import run_passes

            state = run_passes(state, parameters.passes, spec, items, generator=generator, work=work)
        made, found = _calibrated(state, spec, items, work)
    frozen = tuple(Frozen(one.place, STAGE, one.reason) for one in (*obstacles, *found))
    summary = f"quantize {parameters.scheme}, {sum(len(one[0]) for one in items)} calibration items"
    quantized = state.quantized(made.spec, Edit(STAGE, stage_document(parameters), summary))
    kept = tuple(one for one in quantized.frozen if one.stage != STAGE)
    return replace(quantized, frozen=(*kept, *frozen), cache={CONVERTED: made.graph})


def recalibrate(state: ModelState, batches: Iterable[Any], *, items: int, work: Work = NEVER_PAUSED) -> ModelState:
    """The quantized state with new ranges, after a structural edit voided them; schemes stay.

    Raises:
        CompileError, DatasetError: see `calibrate`.
    """
    spec: QuantizationSpec = state.quantization
    taken = calibration_items(state, batches, most=items)
    with work.working("quantization"), torch.no_grad():
        made, found = _calibrated(state, spec, taken, work)
    frozen = (*state.frozen, *(Frozen(one.place, STAGE, one.reason) for one in found))
    return replace(state, quantization=made.spec, frozen=frozen, cache={CONVERTED: made.graph})


def calibration_items(
    state: ModelState, batches: Iterable[Any], *, most: int, generator: torch.Generator | None = None
) -> tuple[Inputs, ...]:
    """At most `most` items in batches that the graph takes; a sequence is drawn from at random, for it is often sorted.

    Raises:
        DatasetError: there is none, or one does not fit the example.
    """
    if generator is not None and isinstance(batches, Sequence):
        batches = [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
    example = Example.of(state)
    kept, count = kept_batches(batches, example, most=most, what="calibration")
    parts = [part for batch in kept for part in pieces(batch, example, _size(example))]
    if count > most and example.dynamic_batch and any(example.batched):
        parts[-1:] = _cut(parts[-1], example, count - most)
    return tuple(parts)


def _size(example: Example) -> int:
    return _MOST_AT_ONCE if example.dynamic_batch else example.batch_size


def _cut(batch: Inputs, example: Example, surplus: int) -> list[Inputs]:
    """A batch without its last `surplus` items; nothing where none is left."""
    rows = next(tensor.shape[0] for tensor, batched in zip(batch, example.batched, strict=True) if batched) - surplus
    if rows <= 0:
        return [batch]
    return [tuple(one[:rows] if batched else one for one, batched in zip(batch, example.batched, strict=True))]


def check_weights(state: ModelState) -> None:
    """Refuse a model with a weight that is not finite.

    Raises:
        CompileError: it names the parameter or buffer.
    """
    for name, tensor in (*state.graph.named_parameters(), *state.graph.named_buffers()):
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise CompileError(
                f"{name} holds NaN", expected="finite weights", action="train it again with a smaller learning rate"
            )


def spec_of(state: ModelState, parameters: Quantize) -> QuantizationSpec:
    """What the parameters of a stage ask for, without ranges.

    Raises:
        UsageError: a target, exclusion or override fits no layer.
    """
    places = [place_of(node) for node in state.graph.graph.nodes if node.op == "call_function"]
    for name in ("targets", "exclude", "overrides"):
        check_places(tuple(getattr(parameters, name)), places, what=f"quantize: {name}")
    return QuantizationSpec(
        scheme=parameters.scheme,
        observer=parameters.observer,
        targets=parameters.targets,
        exclude=parameters.exclude,
        overrides=dict(parameters.overrides),
    )


def foreseen_obstacles(state: ModelState, spec: QuantizationSpec) -> tuple[Obstacle, ...]:
    """Layers whose scheme the delegate does not have for them."""
    found = []
    for place, nodes in weighted_layers(state.graph).items():
        scheme = spec.scheme_of(place)
        reason = None
        if scheme == INT4_WEIGHTS:
            reason = next((why for node in nodes if (why := int4_obstacle(state.graph, node))), None)
        elif scheme == INT8_DYNAMIC:
            linear = all(is_call(node, LINEAR) for node in nodes)
            reason = None if linear else "ranges found as it runs are for linear layers"
        elif scheme == FP16 and spec.scheme != FP16:
            reason = "float16 is for a whole model: the delegate does not convert between float16 and float32"
        if reason:
            found.append(Obstacle(place, f"{scheme}: {reason}"))
    if spec.scheme == FP16:
        return ()
    computed = (
        Obstacle(place_of(node), "its weight is computed while the model runs")
        for node in state.graph.graph.nodes
        if is_call(node, WEIGHTED) and weight_name(node) is None and spec.scheme_of(place_of(node)) != FLOAT
    )
    return (*found, *computed)


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A spec with ranges, and the graph that it makes."""

    spec: QuantizationSpec
    graph: GraphModule


def _calibrated(
    state: ModelState, spec: QuantizationSpec, items: Sequence[Inputs], work: Work
) -> tuple[Calibrated, tuple[Obstacle, ...]]:
    """The spec with ranges that converts and runs; what had to stay float for that."""

    def attempt(candidate: QuantizationSpec) -> Calibrated:
        if candidate.scheme == FP16:
            calibrated = candidate.with_ranges({})
            graph = quantized_graph(state, calibrated)
        else:
            prepared = prepare(state, candidate)
            for batch in items if candidate.static else ():
                work.breathe()
                prepared(*batch)
            calibrated = candidate.with_ranges(observed_ranges(prepared) if candidate.static else {})
            work.breathe()
            graph = finished(prepared, calibrated)
        graph(*state.example_inputs)
        return Calibrated(calibrated, graph)

    return without_culprits(spec, quantized_places(state, spec), attempt)


def quantized_places(state: ModelState, spec: QuantizationSpec) -> list[str]:
    """Places that the spec does not leave float, in the graph's order."""
    nodes = (node for node in state.graph.graph.nodes if node.op == "call_function")
    return list(dict.fromkeys(place for node in nodes if spec.scheme_of(place := place_of(node)) != FLOAT))


def without_culprits(
    spec: QuantizationSpec, places: Sequence[str], attempt: Callable[[QuantizationSpec], Made]
) -> tuple[Made, tuple[Obstacle, ...]]:
    """What `attempt` makes of the spec, with those places left float that it fails on, found by halving.

    Raises:
        CompileError: it fails though every place is float.
    """
    try:
        return attempt(spec), ()
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library raises for one layer, the others go on
        whole = first_line(error)
    everything = list(places)
    budget = [_MOST_ATTEMPTS]

    def culprits(part: list[str], reason: str) -> list[Obstacle]:
        rest = [place for place in everything if place not in part]
        try:
            budget[0] -= 1
            attempt(spec.keeping_float(rest))
        except Exception as error:  # noqa: BLE001
            reason = first_line(error)
            if len(part) == 1 or budget[0] <= 0:
                return [Obstacle(place, reason) for place in part]
            half = len(part) // 2
            return [*culprits(part[:half], reason), *culprits(part[half:], reason)]
        return []

    found = culprits(everything, whole)
    try:
        return attempt(spec.keeping_float(one.place for one in found)), tuple(found)
    except Exception as error:  # noqa: BLE001 - layers that fail only together
        found = [Obstacle(place, first_line(error)) for place in everything]
    try:
        return attempt(spec.keeping_float(everything)), tuple(found)
    except Exception as error:
        raise CompileError(f"the graph cannot be quantized: {first_line(error)}") from error
