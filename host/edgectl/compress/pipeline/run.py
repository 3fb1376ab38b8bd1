# SPDX-License-Identifier: Apache-2.0
"""Runs stages one by one and measures what each did to the model."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from edgectl_protos.errors import CompileError

from edgectl.compress.data.example import Signature
from edgectl.compress.data.splits import DataSplits
from edgectl.compress.evaluation.judging import Judged
from edgectl.compress.legality import Fact, check_legality
from edgectl.compress.mac_count import count_macs
from edgectl.compress.named_places import check_places
from edgectl.compress.pipeline.cache import StageCache, first_key, judged_document, judged_of, next_key
from edgectl.compress.pipeline.meters import ProgramFigures, ProgramMeter
from edgectl.compress.pipeline.observer import PipelineObserver
from edgectl.compress.pipeline.sources import Sources, split_sources
from edgectl.compress.pipeline.techniques import StageRun, apply_stage, stage_steps
from edgectl.compress.quantize.layers import place_of
from edgectl.compress.stages import Stage
from edgectl.compress.state import ModelState, nonzero_count, parameter_count
from edgectl.cores import NEVER_PAUSED, Work

BASELINE = "baseline"


@dataclass(frozen=True, slots=True, eq=False)
class StageResult:
    """What a stage left, measured.

    Attributes:
        name: unique in the run; "baseline" is the model as it came.
        kind: of the stage.
        state: what the next stage gets.
        metrics: by name, as the evaluation gave them; empty without one.
        correct: bool [test items] where labelled items are held whole, else None.
        per_class: accuracy of each class, where it is known.
        parameters: elements of all parameters.
        nonzeros: those of them that are not zero.
        macs: multiply-accumulates of one item.
        seconds: the stage's, without evaluation.
        notes: what there is to say.
        program: figures of the lowered program, where it was lowered.
    """

    name: str
    kind: str
    state: ModelState
    metrics: Mapping[str, float]
    correct: npt.NDArray[np.bool_] | None
    parameters: int
    nonzeros: int
    macs: int
    seconds: float
    notes: tuple[str, ...] = ()
    per_class: Mapping[str, float] = field(default_factory=dict)
    program: ProgramFigures | None = None

    @property
    def accuracy(self) -> float | None:
        """The metric of that name, None where there is none."""
        return self.metrics.get("accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What a run has around its stages."""

    sources: Sources
    seed: int
    observer: PipelineObserver
    work: Work
    meter: ProgramMeter | None
    cache: StageCache | None
    signature: Signature | None


def run_stages(
    state: ModelState,
    data: DataSplits | Sources,
    stages: Sequence[Stage],
    *,
    seed: int,
    observer: PipelineObserver,
    work: Work = NEVER_PAUSED,
    meter: ProgramMeter | None = None,
    cache: StageCache | None = None,
    signature: Signature | None = None,
) -> Iterator[StageResult]:
    """Yield the baseline, then each stage's result as it is done; between two of them `work` is at rest.

    A distillation's teacher is the state before the first stage that shrinks the model: what was trained, uncut.
    Each stage draws from a generator of its own, seeded by `seed` and its name, so dropping one leaves the others'
    draws alone. What `cache` holds is not made again; it needs data whose content is known.

    Raises:
        UsageError: the order of the stages is not legal with these data, or a target is unknown; raised before
            anything is run.
    """
    sources = split_sources(data) if isinstance(data, DataSplits) else data
    device = (Fact.DEVICE,) if meter is not None and meter.measures_latency else ()
    check_legality(stages, available=(*sources.facts(), *device))
    check_targets(stages, state)
    return _run_stages(state, stages, Surroundings(sources, seed, observer, work, meter, cache, signature))


def check_targets(stages: Sequence[Stage], state: ModelState) -> None:
    """Whether every target and exclusion names something of this model.

    Raises:
        UsageError: one does not; names the nearest that is known.
    """
    names = {name for name, _ in state.graph.named_parameters(remove_duplicate=False)}
    names |= {place_of(node) for node in state.graph.graph.nodes if node.op == "call_function"}
    for stage in stages:
        for field_name in ("targets", "exclude", "overrides"):
            patterns = tuple(getattr(stage.parameters, field_name, ()))
            check_places(patterns, sorted(names), what=f"{stage.name}: {field_name}")


def _run_stages(state: ModelState, stages: Sequence[Stage], around: Surroundings) -> Iterator[StageResult]:
    observer, work = around.observer, around.work
    observer.stage_started(BASELINE, 0)
    notes = around.sources.notes
    with work.working("evaluation"):
        result = _measured(state, around, name=BASELINE, kind=BASELINE, judged=_judged(state, around), notes=notes)
    observer.stage_finished(result)
    yield result
    key = _first_key(state, around)
    teacher: ModelState | None = None
    for stage in stages:
        if stage.kind != "finetune" and teacher is None:
            teacher = state
        key = next_key(key, stage) if key else ""
        with work.working(f"{stage.name} stage"):
            result = _known(stage, key, around) or _run_stage(stage, state, teacher or state, key, around)
        state = result.state
        observer.stage_finished(result)
        yield result


def _run_stage(stage: Stage, state: ModelState, teacher: ModelState, key: str, around: Surroundings) -> StageResult:
    around.observer.stage_started(stage.name, stage_steps(stage, around.sources))
    run = StageRun(
        sources=around.sources,
        teacher=teacher,
        generator=torch.Generator().manual_seed(zlib.crc32(f"{around.seed}/{stage.name}".encode())),
        progress=around.observer.stage_advanced,
        work=around.work,
        meter=around.meter,
    )
    started = time.perf_counter()
    state, notes = apply_stage(stage, state, run)
    seconds = time.perf_counter() - started
    judged = _judged(state, around)
    if key and around.cache is not None:
        extra = {"judged": judged_document(judged), "seconds": seconds, "notes": list(notes)}
        around.cache.store(key, state, around.signature, extra)
    return _measured(state, around, name=stage.name, kind=stage.kind, judged=judged, seconds=seconds, notes=notes)


def _known(stage: Stage, key: str, around: Surroundings) -> StageResult | None:
    """What the cache holds of a stage."""
    found = around.cache.load(key) if key and around.cache is not None else None
    if found is None:
        return None
    around.observer.stage_started(stage.name, 0)
    state, extra = found
    try:
        judged, seconds = judged_of(extra["judged"]), float(extra["seconds"])
        notes = (*map(str, extra["notes"]), "taken from the cache")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return _measured(state, around, name=stage.name, kind=stage.kind, judged=judged, seconds=seconds, notes=notes)


def _first_key(state: ModelState, around: Surroundings) -> str:
    if around.cache is None or around.sources.digest is None:
        return ""
    try:
        return first_key(state, data=around.sources.digest, seed=around.seed)
    except CompileError:  # it cannot be saved, so it cannot be kept
        return ""


def _judged(state: ModelState, around: Surroundings) -> Judged:
    evaluation = around.sources.evaluation
    return evaluation.judge(state, work=around.work) if evaluation is not None else Judged()


def counted(state: ModelState, name: str) -> StageResult:
    """The figures of a state that need no data."""
    count = count_macs(state)
    return StageResult(
        name=name,
        kind=name,
        state=state,
        metrics={},
        correct=None,
        parameters=parameter_count(state),
        nonzeros=nonzero_count(state),
        macs=count.total,
        seconds=0.0,
        notes=count.notes,
    )


def _measured(
    state: ModelState,
    around: Surroundings,
    *,
    name: str,
    kind: str,
    judged: Judged,
    seconds: float = 0.0,
    notes: tuple[str, ...] = (),
) -> StageResult:
    """The figures of a state."""
    plain = counted(state, name)
    return replace(
        plain,
        kind=kind,
        metrics=judged.metrics,
        correct=judged.correct,
        seconds=seconds,
        notes=(*notes, *plain.notes),
        per_class=judged.per_class,
        program=around.meter.figures(state) if around.meter is not None else None,
    )
