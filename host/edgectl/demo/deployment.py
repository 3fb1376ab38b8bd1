# SPDX-License-Identifier: Apache-2.0
"""Stages of the first fold as bundles on the device: lowered, timed, the last one deployed and asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgectl.compress.recipe import Recipe, recipe_document
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.demo.cross_validation import Fold, PooledStage
from edgectl.demo.outcome import DemoStage, Deployed

if TYPE_CHECKING:
    from edgectl.compress.state import ModelState
    from edgectl.demo.run import Progress
    from edgectl.lab.client import AgentClient
    from edgectl.lab.protocol import MeasurementProtocol
    from edgectl.lab.quiet import TimedJob
    from edgectl.lower.program import LoweredProgram


@dataclass(frozen=True, slots=True)
class MeasuredStages:
    """The stages in order, the bundle of the last, and the size of the unpruned baseline in int8."""

    stages: tuple[DemoStage, ...]
    bundle: Path
    int8_same_architecture_bytes: int


def measure_stages(
    recipe: Recipe,
    fold: Fold,
    pooled: Sequence[PooledStage],
    *,
    workspace: Path,
    client: AgentClient,
    protocol: MeasurementProtocol,
    progress: Progress,
    work: Work = NEVER_PAUSED,
    timed: TimedJob = nullcontext,
) -> MeasuredStages:
    """Lower every stage of a fold, and time each on the device within `timed`."""
    from edgectl.lower.program import lower

    stages = []
    bundle = workspace
    with progress.task("lower and time the stages", total=len(fold.results) + 1) as task:
        for result, accuracy in zip(fold.results, pooled, strict=True):
            bundle = workspace / f"{result.name}.edge"
            with work.working("lowering"):
                program = lower(result.state, work=work)
                work.breathe()
                _write(bundle, recipe, fold, result.state, program, version=f"demo-{result.name}")
            installed = client.put_bundle(bundle)
            with timed():
                measurement = client.benchmark(installed.name, installed.digest, protocol)
            task.advance(note=f"{result.name}: {len(program.data):,} bytes, p50 {1000 * measurement.p50:.1f} us")
            stages.append(
                DemoStage(
                    pooled=accuracy,
                    parameters=result.parameters,
                    macs=result.macs,
                    program_bytes=len(program.data),
                    delegated_fraction=program.delegation.fraction,
                    measurement=measurement,
                )
            )
        int8 = lower(_quantized_baseline(fold), work=work)
        task.advance(note=f"int8 of the unpruned baseline: {len(int8.data):,} bytes")
    return MeasuredStages(tuple(stages), bundle, len(int8.data))


def deploy_and_ask(bundle: Path, fold: Fold, *, client: AgentClient, progress: Progress) -> Deployed:
    """Activate a bundle of the fold's last stage and put every test scan to it, one by one.

    Raises:
        GateError: the device's golden outputs are off.
    """
    from edgectl.compress.materialize import predict

    inputs, targets = fold.data.test_inputs, fold.data.test_targets.numpy()
    expected = predict(fold.results[-1].state, inputs).argmax(dim=1).numpy()
    installed = client.put_bundle(bundle)
    activation = client.activate(installed.name, installed.digest)
    answers = np.empty(len(inputs), dtype=np.int64)
    with progress.task("deploy, and ask about every test scan", total=len(inputs)) as task:
        for index, item in enumerate(inputs.numpy()):
            answers[index] = client.infer(installed.name, [item[np.newaxis]]).outputs[0].argmax()
            task.advance()
    return Deployed(
        name=installed.name,
        digest=installed.digest,
        golden_max_abs_error=activation.golden_max_abs_error,
        items=len(inputs),
        agreement=int((answers == expected).sum()),
        correct=int((answers == targets).sum()),
    )


def _quantized_baseline(fold: Fold) -> ModelState:
    """The trained, unpruned model in int8, for the size of the same architecture."""
    quantization = fold.results[-1].state.quantization
    return replace(fold.results[0].state, quantization=quantization, cache={})


def _write(path: Path, recipe: Recipe, fold: Fold, state: ModelState, program: LoweredProgram, *, version: str) -> None:
    from edgectl.lower.bundle import write_bundle
    from edgectl.lower.golden import make_golden
    from edgectl.targets import load_target

    golden = make_golden(state, fold.data.test_inputs)
    write_bundle(
        path,
        program=program,
        name=recipe.name,
        version=version,
        golden=golden.cases,
        tolerance=golden.tolerance,
        labels=fold.data.labels,
        target=load_target(recipe.target),
        provenance={"recipe": recipe_document(recipe), "edits": [edit.summary for edit in state.edits]},
    )
