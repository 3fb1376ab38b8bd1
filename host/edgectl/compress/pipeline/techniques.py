# SPDX-License-Identifier: Apache-2.0
"""One function for each kind of stage, behind one form. What cannot be pruned or quantized is left as it is, and said.

A fault of the user's (an unknown target, data that do not fit) ends the run; a model that a technique cannot take does
not: the state goes on unchanged, with place and reason in `frozen`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from edgectl_protos.errors import CompileError, EdgectlError, InternalError
from torch.fx import GraphModule

from edgectl.compress.data.batches import say_loudly
from edgectl.compress.data.example import Example, Inputs
from edgectl.compress.data.feeds import Batch
from edgectl.compress.data.running import CHUNK, pieces, run_batch
from edgectl.compress.goals import LESS_IS_BETTER
from edgectl.compress.mac_count import macs
from edgectl.compress.pipeline.meters import ProgramMeter
from edgectl.compress.pipeline.sources import Sources
from edgectl.compress.quantize import calibrate, calibrate_within, recalibrate
from edgectl.compress.reasons import first_line
from edgectl.compress.sparse.sparsify import sparsify
from edgectl.compress.stages import Distill, Finetune, Prune, Quantize, Sparsify, Stage
from edgectl.compress.state import Frozen, ModelState
from edgectl.compress.structured import Evidence, prune
from edgectl.compress.training.distill import distill
from edgectl.compress.training.finetune import finetune
from edgectl.cores import Work

WHOLE_MODEL = "(whole model)"
RECALIBRATION_ITEMS = EVIDENCE_ITEMS = 256
EVIDENCE_BATCH = 32
MOST_NOTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class StageRun:
    """What a stage may use."""

    sources: Sources
    teacher: ModelState
    generator: torch.Generator
    progress: Callable[[float], None]
    work: Work
    meter: ProgramMeter | None = None


Applied = tuple[ModelState, tuple[str, ...]]
Technique = Callable[[ModelState, Any, StageRun], Applied]


def apply_stage(stage: Stage, state: ModelState, run: StageRun) -> Applied:
    """The state after a stage, and what there is to say about it.

    Raises:
        EdgectlError: a fault of the user's, or training that fails.
    """
    technique = TECHNIQUES[stage.kind]
    if stage.kind not in ("prune", "quantize"):
        return technique(state, stage.parameters, run)
    try:
        return technique(state, stage.parameters, run)
    except (CompileError, InternalError) as error:
        reason = error.message
    except EdgectlError:
        raise
    except Exception as error:  # noqa: BLE001 - a model no one here wrote must not end the run half-way
        reason = first_line(error)
    note = f"{stage.name} left the model as it was: {reason}"
    say_loudly(note)
    return replace(state, frozen=(*state.frozen, Frozen(WHOLE_MODEL, stage.name, reason))), (note,)


def stage_steps(stage: Stage, sources: Sources) -> int:
    """How often a stage will report an advance on these data; 0 where it does not learn, or that is not known."""
    parameters = stage.parameters
    if isinstance(parameters, Finetune | Distill | Sparsify) and sources.training is not None:
        return parameters.epochs * sources.training.steps(parameters.batch_size)
    return 0


def _finetune(state: ModelState, parameters: Finetune, run: StageRun) -> Applied:
    feed = _feed(run)
    done = finetune(state, feed, parameters, generator=run.generator, progress=run.progress, work=run.work)
    return done, ()


def _distill(state: ModelState, parameters: Distill, run: StageRun) -> Applied:
    done = distill(
        state,
        _feed(run),
        parameters,
        teacher=run.teacher,
        generator=run.generator,
        progress=run.progress,
        work=run.work,
    )
    return done, ()


def _sparsify(state: ModelState, parameters: Sparsify, run: StageRun) -> Applied:
    done = sparsify(
        state, run.sources.training, parameters, generator=run.generator, progress=run.progress, work=run.work
    )
    return _ranges_again(done.state, run), done.notes


def _prune(state: ModelState, parameters: Prune, run: StageRun) -> Applied:
    pruned = prune(state, parameters, evidence=_evidence(state, run), generator=run.generator, work=run.work)
    done = pruned.state
    if macs(done) == macs(state) and done.frozen == state.frozen:
        reason = "every channel is an input or an output of the model, or all that its layer has"
        done = replace(done, frozen=(*done.frozen, Frozen(WHOLE_MODEL, "prune", reason)))
    return _ranges_again(done, run), pruned.notes


def _evidence(state: ModelState, run: StageRun) -> Evidence:
    """What pruning may look at; each call draws the same items."""
    example, calibration, feed = Example.of(state), run.sources.calibration, run.sources.training
    seed = run.generator.initial_seed()

    def items() -> Iterator[Inputs]:
        if calibration is not None:
            size = CHUNK if example.dynamic_batch else example.batch_size
            for batch in calibration.batches(EVIDENCE_ITEMS, torch.Generator().manual_seed(seed)):
                yield from pieces(batch, example, size)

    def batches() -> Iterator[Batch]:
        if feed is not None:
            yield from feed.epoch(EVIDENCE_BATCH, torch.Generator().manual_seed(seed))

    def loss(graph: GraphModule, batch: Batch) -> torch.Tensor:
        if feed is None:
            raise InternalError("a loss without training data", action="report the recipe")
        return feed.loss(run_batch(graph, batch.inputs, example, chunk=1 << 30), batch.targets)

    return Evidence(
        calibration=items if calibration is not None else None,
        training=batches if feed is not None else None,
        loss=loss if feed is not None else None,
        latency=run.meter,
    )


def _quantize(state: ModelState, parameters: Quantize, run: StageRun) -> Applied:
    batches, notes = _calibration(state, run, parameters.calibration_items)
    bound, evaluation = parameters.max_degradation, run.sources.evaluation
    if bound is None:
        done = calibrate(state, parameters, batches, generator=run.generator, work=run.work)
    elif evaluation is None:
        note = f"max_degradation {bound:g} was not held against anything, for there is no evaluation: give one"
        say_loudly(note)
        notes = (*notes, note)
        done = calibrate(state, parameters, batches, generator=run.generator, work=run.work)
    else:
        metered = run.meter is not None and run.meter.measures_latency
        assigned = calibrate_within(
            state,
            parameters,
            batches,
            lambda candidate: _main_metric(evaluation.judge(candidate, work=run.work).metrics),
            generator=run.generator,
            latency=run.meter.p95_ms if metered and run.meter is not None else None,
            work=run.work,
        )
        done, notes = assigned.state, (*notes, *assigned.notes(bound))
    return done, (*notes, *_frozen_notes(state, done))


def _main_metric(metrics: Mapping[str, float]) -> float:
    """The accuracy, else the first metric; negative where less of it is better."""
    name = "accuracy" if "accuracy" in metrics else next(iter(metrics))
    return -metrics[name] if name in LESS_IS_BETTER else metrics[name]


def _ranges_again(state: ModelState, run: StageRun) -> ModelState:
    """The state with ranges measured again where a structural edit voided them."""
    if state.quantization is None or state.quantization.calibrated:
        return state
    batches, _ = _calibration(state, run, RECALIBRATION_ITEMS)
    return recalibrate(state, batches, items=RECALIBRATION_ITEMS, work=run.work)


def _calibration(state: ModelState, run: StageRun, items: int) -> tuple[list[Inputs], tuple[str, ...]]:
    if run.sources.calibration is not None:
        return run.sources.calibration.batches(items, run.generator), ()
    note = "quantize set its ranges by the example inputs alone, for there is no calibration data: give some"
    say_loudly(note)
    return [state.example_inputs], (note,)


def _frozen_notes(before: ModelState, after: ModelState) -> tuple[str, ...]:
    """A line for each place that a stage newly left as it was, up to a few."""
    new = [one for one in after.frozen if one not in before.frozen]
    lines = [f"{one.place} stays as it is: {one.reason}" for one in new[:MOST_NOTES]]
    return (*lines, f"and {len(new) - MOST_NOTES} places more, see frozen") if len(new) > MOST_NOTES else tuple(lines)


def _feed(run: StageRun) -> Any:
    if run.sources.training is None:
        raise InternalError("a stage that learns has no training data", action="report the recipe")
    return run.sources.training


TECHNIQUES: Mapping[str, Technique] = {
    "finetune": _finetune,
    "distill": _distill,
    "sparsify": _sparsify,
    "prune": _prune,
    "quantize": _quantize,
}
