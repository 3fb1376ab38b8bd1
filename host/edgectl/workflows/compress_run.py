# SPDX-License-Identifier: Apache-2.0
"""A recipe from model to bundle: each stage lowered, checked against eager, and timed where a device is given.

The three files of a run appear at its end, stages.json last: an error or Ctrl-C before that leaves things as they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from edgectl_protos.bundle import BundleInfo
from edgectl_protos.errors import CompileError, UndelegatedError, UsageError
from edgectl_protos.topics import check_name

from edgectl import __version__
from edgectl.compress.goals import GoalOutcome, judge_goals
from edgectl.compress.recipe import MAXIMUM_NAME, Recipe, recipe_document
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.lower.target_check import TargetFit, check_target
from edgectl.targets import load_target
from edgectl.workflows.output_folder import output_folder
from edgectl.workflows.stage_figures import StageFigures, stage_figures

if TYPE_CHECKING:
    from edgectl.compress.pipeline import PipelineObserver, StageResult
    from edgectl.compress.pipeline.recipe_data import Prepared
    from edgectl.compress.state import ModelState
    from edgectl.lab.measurement import Measurement
    from edgectl.lab.protocol import AnyProtocol
    from edgectl.lab.quiet import TimedJob
    from edgectl.lower.golden import GoldenSet
    from edgectl.lower.program import LoweredProgram

PROGRAM_FILE = "model.pte"
STAGES_FILE = "stages.json"
_STAGE_SUFFIX = "-stage"


class OnDevice(Protocol):
    """A bundle that is on a device; `AgentClient.put_bundle` returns one."""

    @property
    def digest(self) -> str: ...


class TimingDevice(Protocol):
    """A device that measures programs; `AgentClient` is one."""

    def put_bundle(self, path: Path) -> OnDevice: ...

    def benchmark(self, name: str, digest: str, protocol: AnyProtocol, *, choice: RunnerChoice) -> Measurement: ...


@dataclass(frozen=True, slots=True)
class CompressRun:
    """The files of a run, the figures of its stages, `baseline` first, and how the last one's program fits the target.

    `measurements` is empty without a device.
    """

    bundle: Path
    info: BundleInfo
    program: Path
    stages: tuple[StageFigures, ...]
    measurements: tuple[Measurement, ...]
    fit: TargetFit
    goals: tuple[GoalOutcome, ...] = ()


def compress(
    recipe: Recipe,
    *,
    output_dir: Path,
    device: TimingDevice | None,
    protocol: AnyProtocol | None,
    observer: PipelineObserver,
    device_name: str = "",
    cache: Path | None = None,
    choice: RunnerChoice = RunnerChoice(),  # noqa: B008 - frozen
    on_figures: Callable[[StageFigures], None] = lambda _: None,
    work: Work = NEVER_PAUSED,
    timed: TimedJob = nullcontext,
) -> CompressRun:
    """Run the recipe and leave NAME-VERSION.edge, model.pte and stages.json in `output_dir`.

    The version is the first 12 digits of the SHA-256 of recipe and program: equal results have equal names.
    `choice` says how the device runs the programs it times; goals and budgets know it as `device_name`. What stages
    made is kept below `cache`, and taken from there. `work` is asked to pause, and each measurement is made within
    `timed`.

    Raises:
        EdgectlError: the recipe, its model, data or target, a stage, the lowering or the device; nothing is written.
    """
    from edgectl.compress.pipeline import run_stages
    from edgectl.compress.pipeline.cache import StageCache
    from edgectl.compress.pipeline.recipe_data import prepare

    _check_recipe_name(recipe.name)
    if device is not None and protocol is None:
        raise UsageError("a device without a measurement protocol", expected="both or neither")
    load_target(recipe.target)
    _check_devices(recipe, device_name)
    with output_folder(output_dir), _staging_folder(output_dir) as staging:
        with work.working("model"):
            prepared = prepare(recipe)
        timing = None if device is None or protocol is None else _Timing(device, protocol, choice, timed)
        run = _Run(recipe, prepared, Path(staging), timing, device_name=device_name, work=work)
        stages = run_stages(
            prepared.state,
            prepared.sources,
            recipe.stages,
            seed=recipe.seed,
            observer=observer,
            work=work,
            meter=None if timing is None else run,
            cache=None if cache is None else StageCache(cache),
            signature=prepared.example.signature,
        )
        for result in stages:
            on_figures(run.add(result))
        return run.finish(output_dir)


def _check_devices(recipe: Recipe, device_name: str) -> None:
    """A budget in milliseconds is held on the device it names."""
    for stage in recipe.stages:
        wanted = getattr(stage.parameters, "device", None)
        if wanted and wanted != device_name:
            raise UsageError(
                f"{stage.name} is for the device {wanted}, and {device_name or 'no device'} is given",
                expected=f"--on {wanted}",
                action="give it, or correct the recipe",
            )


def _check_recipe_name(name: str) -> None:
    """A recipe's own rule is narrower, but `edgectl lower` names a model without one."""
    try:
        check_name(name + _STAGE_SUFFIX, what="name")
    except UsageError as error:
        raise UsageError(
            f"name {name[:80]!r}",
            expected=f"1 to {MAXIMUM_NAME} letters, digits, '.', '_' or '-', beginning with a letter or digit",
            action="choose another name",
        ) from error


def content_version(recipe: Recipe, program: bytes) -> str:
    """12 hex digits that name this recipe's program."""
    document = json.dumps(recipe_document(recipe), sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(document).digest() + hashlib.sha256(program).digest()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Timing:
    """Where and how stages are timed."""

    device: TimingDevice
    protocol: AnyProtocol
    choice: RunnerChoice
    timed: TimedJob

    def measure(self, bundle: Path, name: str) -> Measurement:
        installed = self.device.put_bundle(bundle)
        with self.timed():
            return self.device.benchmark(name, installed.digest, self.protocol, choice=self.choice)


class _Run:
    """The stages so far. Bundles of earlier stages live in the staging folder only, to be timed."""

    def __init__(
        self,
        recipe: Recipe,
        prepared: Prepared,
        staging: Path,
        timing: _Timing | None,
        *,
        device_name: str,
        work: Work,
    ) -> None:
        self._recipe, self._prepared, self._staging = recipe, prepared, staging
        self._timing, self._device_name, self._work = timing, device_name, work
        self._figures: list[StageFigures] = []
        self._measurements: list[Measurement] = []
        self._last: tuple[Path, BundleInfo, bytes, TargetFit] | None = None

    def add(self, result: StageResult) -> StageFigures:
        """Lower a stage's model, bundle it, time it, and note its figures."""
        program, golden = self._lowered(result.state)
        figures = stage_figures(result, program)
        last = len(self._figures) == len(self._recipe.stages)  # the baseline comes first
        name = self._recipe.name if last else self._recipe.name + _STAGE_SUFFIX
        version = content_version(self._recipe, program.data)
        path = self._staging / f"{name}-{version}.edge"
        try:
            fit = check_target(program, load_target(self._recipe.target))
        except CompileError as error:
            if last:
                raise
            figures = replace(figures, untimed=error.seen)  # what follows may make it fit
        else:
            info = self._write(path, (*self._figures, figures), program, golden, name=name, version=version)
            figures = self._timed_figures(figures, path, name)
            self._last = (path, info, program.data, fit)
        self._figures.append(figures)
        return figures

    @property
    def measures_latency(self) -> bool:
        """Whether there is a device that tells milliseconds."""
        return self._timing is not None

    def figures(self, state: ModelState) -> None:
        """Nothing: every stage is lowered once, by `add`."""

    def p95_ms(self, state: ModelState) -> float:
        """The latency of a state on the device, for budgets in milliseconds.

        Raises:
            UsageError: the protocol takes too few samples for a 95th percentile, or the device counts instructions.
        """
        if self._timing is None:
            raise UsageError("a budget in milliseconds without a device", expected="--on DEVICE")
        program, golden = self._lowered(state)
        name = self._recipe.name + _STAGE_SUFFIX
        path = self._staging / f"{name}-budget.edge"
        self._write(path, (), program, golden, name=name, version=content_version(self._recipe, program.data))
        measured = self._timing.measure(path, name)
        if measured.unit != "ms" or measured.p95 is None:
            raise UsageError(
                f"{measured.device} gave {len(measured.samples)} samples in {measured.unit}",
                expected="a 95th percentile in milliseconds",
                action="give --protocol standard, on a real device",
            )
        return measured.p95

    def _judged_goals(self) -> tuple[GoalOutcome, ...]:
        first, last = self._figures[0], self._figures[-1]
        return judge_goals(
            self._recipe.goals, baseline=first.by_metric(), final=last.by_metric(), device=self._device_name
        )

    def finish(self, output_dir: Path) -> CompressRun:
        """Move the files of the last stage into place, each whole.

        stages.json comes last. It names the bundle's file and digest, so a power cut between two moves leaves at worst
        the stages.json of the run before beside a newer model.pte.
        """
        if self._last is None:
            raise CompileError("the recipe yielded no stage", expected="at least the baseline")
        staged, info, program, fit = self._last
        goals = self._judged_goals()
        document = {
            "schema_version": 1,
            "bundle": {"file": staged.name, "digest": info.digest},
            "recipe": recipe_document(self._recipe),
            "versions": _versions(),
            "stages": [figures.document() for figures in self._figures],
            "measurements": [measurement.document() for measurement in self._measurements],
            "target": fit.document(),
            "goals": [outcome.document() for outcome in goals],
        }
        (self._staging / PROGRAM_FILE).write_bytes(program)
        (self._staging / STAGES_FILE).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", "utf-8")
        for name in (staged.name, PROGRAM_FILE, STAGES_FILE):
            (self._staging / name).replace(output_dir / name)
        return CompressRun(
            bundle=output_dir / staged.name,
            info=info,
            program=output_dir / PROGRAM_FILE,
            stages=tuple(self._figures),
            measurements=tuple(self._measurements),
            fit=fit,
            goals=goals,
        )

    def _lowered(self, state: ModelState) -> tuple[LoweredProgram, GoldenSet]:
        from edgectl.lower.check import check_outputs
        from edgectl.lower.golden import make_golden
        from edgectl.lower.program import lower

        with self._work.working("lowering"):
            program = lower(state, work=self._work)
            self._work.breathe()
            golden = make_golden(state, self._prepared.golden)
            check_outputs(program, golden)
        return program, golden

    def _write(
        self,
        path: Path,
        stages: tuple[StageFigures, ...],
        program: LoweredProgram,
        golden: GoldenSet,
        *,
        name: str,
        version: str,
    ) -> BundleInfo:
        from edgectl.lower.bundle import write_bundle

        timeless = [entry.timeless() for entry in stages]
        return write_bundle(
            path,
            program=program,
            name=name,
            version=version,
            golden=golden.cases,
            tolerance=golden.tolerance,
            labels=self._prepared.labels,
            target=load_target(self._recipe.target),
            provenance={"recipe": recipe_document(self._recipe), "versions": _versions(), "stages": timeless},
        )

    def _timed_figures(self, figures: StageFigures, path: Path, name: str) -> StageFigures:
        """With the latency on the device; where the program falls out of its delegate, with the reason for none."""
        if self._timing is None:
            return figures
        try:
            measured = self._timing.measure(path, name)
        except UndelegatedError as error:
            return replace(figures, untimed=error.seen)
        self._measurements.append(measured)
        return figures.measured(measured)


def _versions() -> dict[str, str]:
    return {"edgectl": __version__} | {name: metadata.version(name) for name in ("torch", "executorch", "torchao")}


def _staging_folder(output_dir: Path) -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(dir=output_dir, prefix=".edgectl-")
    except OSError as error:
        raise UsageError(f"cannot write to {output_dir} ({error.strerror})", action="choose another folder") from error
