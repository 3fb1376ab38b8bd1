# SPDX-License-Identifier: Apache-2.0
"""Runs the stages of a recipe one by one and measures what each did to the model."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from edgectl_protos.errors import CompileError, UsageError
from torch import nn

from edgectl.compress.carrier import export_model
from edgectl.compress.data import DataSplits
from edgectl.compress.distill import distill
from edgectl.compress.entry_points import call_entry_point, load_entry_point, reason_of
from edgectl.compress.finetune import finetune
from edgectl.compress.legality import check_legality
from edgectl.compress.mac_count import count_macs
from edgectl.compress.materialize import predict
from edgectl.compress.prune import prune
from edgectl.compress.quantize import quantize
from edgectl.compress.recipe import Recipe
from edgectl.compress.stages import (
    Distill,
    Finetune,
    Prune,
    Quantize,
    Sparsify,
    Stage,
)
from edgectl.compress.state import ModelState, parameter_count
from edgectl.compress.training import training_steps
from edgectl.cores import NEVER_PAUSED, Work

BASELINE = "baseline"


@dataclass(frozen=True, slots=True, eq=False)
class StageResult:
    """What a stage left, measured: `correct` is bool [test items]; `seconds` are the stage's, without evaluation."""

    name: str
    kind: str
    state: ModelState
    accuracy: float
    correct: npt.NDArray[np.bool_]
    parameters: int
    macs: int
    seconds: float
    notes: tuple[str, ...] = ()


class PipelineObserver(Protocol):
    """Hears of progress; called on the thread that runs the stages."""

    def stage_started(self, name: str, steps: int) -> None:
        """A stage begins; it will advance `steps` times (0 for one that does not learn)."""
        ...

    def stage_advanced(self, loss: float) -> None:
        """One training step is done."""
        ...

    def stage_finished(self, result: StageResult) -> None:
        """The stage is done and measured."""
        ...


class SilentObserver:
    """Tells nobody."""

    def stage_started(self, name: str, steps: int) -> None:
        """Do nothing."""

    def stage_advanced(self, loss: float) -> None:
        """Do nothing."""

    def stage_finished(self, result: StageResult) -> None:
        """Do nothing."""


def initial_state(recipe: Recipe, data: DataSplits) -> ModelState:
    """Build the recipe's model, seeded, and export it.

    Raises:
        UsageError: there is no such entry point.
        CompileError: it fails, returns no module, gives no [N, classes] logits, or cannot be exported.
    """
    function = load_entry_point(recipe.model)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        module = call_entry_point(function, recipe.model, recipe.model_arguments, failure=CompileError)
    if not isinstance(module, nn.Module):
        raise CompileError(f"{recipe.model} returned a {type(module).__name__}", expected="a torch.nn.Module")
    return state_of(module, data)


def state_of(module: nn.Module, data: DataSplits) -> ModelState:
    """The state of a model for these data, before any stage.

    Raises:
        CompileError: it does not take an item, cannot be exported, or does not give one row of logits per item.
    """
    example = (data.test_inputs[:1].clone(),)
    _run_one_item(module, example[0])
    state = ModelState(export_model(module, example).graph, example)
    logits = predict(state, data.test_inputs[:1])
    classes = len(data.labels)
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, classes):
        raise CompileError(
            f"the model gives {list(logits.shape)} for one item",
            expected=f"[1, {classes}], a logit for each label",
        )
    return state


def _run_one_item(module: nn.Module, item: torch.Tensor) -> None:
    """Export would blame the model's control flow for what may be a matter of shapes: the model itself says which."""
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module(item)
    except (Exception, SystemExit) as error:
        shape, dtype = list(item.shape), str(item.dtype).removeprefix("torch.")
        raise CompileError(
            f"{type(module).__name__} does not take an item of the data, {dtype} {shape}: {reason_of(error)}",
            expected="a model and data that fit each other",
            action="change the shape of the data's items, or what the model takes",
        ) from error


def run_stages(
    state: ModelState,
    data: DataSplits,
    stages: Sequence[Stage],
    *,
    seed: int,
    observer: PipelineObserver,
    work: Work = NEVER_PAUSED,
) -> Iterator[StageResult]:
    """Yield the baseline, then each stage's result as it is done; between two of them `work` is at rest.

    A distillation's teacher is the state before the first stage that shrinks the model: what was trained, uncut.
    Each stage draws from a generator of its own, seeded by `seed` and its name, so dropping one leaves the others'
    draws alone.

    Raises:
        UsageError: the order of the stages is not legal; raised before anything is run.
    """
    check_legality(stages)
    return _run_stages(state, data, stages, seed=seed, observer=observer, work=work)


def _run_stages(
    state: ModelState, data: DataSplits, stages: Sequence[Stage], *, seed: int, observer: PipelineObserver, work: Work
) -> Iterator[StageResult]:
    observer.stage_started(BASELINE, 0)
    baseline = _measured(state, data, name=BASELINE, kind=BASELINE, seconds=0.0, notes=(), work=work)
    observer.stage_finished(baseline)
    yield baseline
    teacher: ModelState | None = None
    for stage in stages:
        if stage.kind != "finetune" and teacher is None:
            teacher = state
        observer.stage_started(stage.name, stage_steps(stage, data))
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{stage.name}".encode()))
        with work.working(f"{stage.name} stage"):
            started = time.perf_counter()
            state, notes = _apply(
                stage, state, data, teacher=teacher or state, generator=generator, observer=observer, work=work
            )
            seconds = time.perf_counter() - started
            result = _measured(state, data, name=stage.name, kind=stage.kind, seconds=seconds, notes=notes, work=work)
        observer.stage_finished(result)
        yield result


def stage_steps(stage: Stage, data: DataSplits) -> int:
    """How often a stage will report an advance on these data."""
    parameters = stage.parameters
    if isinstance(parameters, Finetune | Distill):
        return training_steps(len(data.train_inputs), epochs=parameters.epochs, batch_size=parameters.batch_size)
    return 0


def _apply(
    stage: Stage,
    state: ModelState,
    data: DataSplits,
    *,
    teacher: ModelState,
    generator: torch.Generator,
    observer: PipelineObserver,
    work: Work,
) -> tuple[ModelState, tuple[str, ...]]:
    advance = observer.stage_advanced
    match stage.parameters:
        case Finetune() as parameters:
            return finetune(state, data, parameters, generator=generator, progress=advance, work=work), ()
        case Distill() as parameters:
            trained = distill(
                state, data, parameters, teacher=teacher, generator=generator, progress=advance, work=work
            )
            return trained, ()
        case Prune() as parameters:
            pruned = prune(state, parameters, generator=generator)
            return pruned.state, pruned.notes
        case Quantize() as parameters:
            return quantize(state, data, parameters, generator=generator, work=work), ()
        case Sparsify():
            raise UsageError("sparsify is not available in this version", action="leave it out")


def _measured(
    state: ModelState, data: DataSplits, *, name: str, kind: str, seconds: float, notes: tuple[str, ...], work: Work
) -> StageResult:
    with work.working("evaluation"):
        counted = count_macs(state)
        predicted = predict(state, data.test_inputs, work=work)
    correct = (predicted.argmax(dim=1) == data.test_targets).numpy()
    return StageResult(
        name=name,
        kind=kind,
        state=state,
        accuracy=float(correct.mean()),
        correct=correct,
        parameters=parameter_count(state),
        macs=counted.total,
        seconds=seconds,
        notes=(*notes, *counted.notes),
    )
