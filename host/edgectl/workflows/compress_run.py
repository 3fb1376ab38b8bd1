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
from typing import TYPE_CHECKING, Any, Protocol

from edgectl_protos.bundle import BundleInfo
from edgectl_protos.errors import CompileError, UndelegatedError, UsageError
from edgectl_protos.topics import check_name

from edgectl import __version__
from edgectl.compress.recipe import MAXIMUM_NAME, Recipe, recipe_document
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.targets import load_target
from edgectl.workflows.output_folder import output_folder

if TYPE_CHECKING:
    from edgectl.compress.data import DataSplits
    from edgectl.compress.pipeline import PipelineObserver, StageResult
    from edgectl.lab.measurement import Measurement
    from edgectl.lab.protocol import AnyProtocol
    from edgectl.lab.quiet import TimedJob
    from edgectl.lower.delegation import DelegationReport
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
class StageFigures:
    """What came of a stage; `seconds` is training and lowering.

    `p50_ms` is None without a device, and where the device would not time the program; `untimed` then says why. An
    emulated board counts instructions for one inference instead: `insn`, None everywhere else.
    """

    name: str
    accuracy: float
    parameters: int
    macs: int
    program_bytes: int
    p50_ms: float | None
    delegation: DelegationReport
    seconds: float
    notes: tuple[str, ...] = ()
    untimed: str = ""
    insn: float | None = None

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "accuracy": self.accuracy,
            "parameters": self.parameters,
            "macs": self.macs,
            "program_bytes": self.program_bytes,
            "p50_ms": self.p50_ms,
            "insn": self.insn,
            "delegated_fraction": self.delegation.fraction,
            "delegated": dict(self.delegation.delegated),
            "undelegated": dict(self.delegation.undelegated),
            "seconds": self.seconds,
            "notes": list(self.notes),
            "untimed": self.untimed,
        }


@dataclass(frozen=True, slots=True)
class CompressRun:
    """The files of a run and the figures of its stages, `baseline` first; `measurements` is empty without a device."""

    bundle: Path
    info: BundleInfo
    program: Path
    stages: tuple[StageFigures, ...]
    measurements: tuple[Measurement, ...]


def compress(
    recipe: Recipe,
    *,
    output_dir: Path,
    device: TimingDevice | None,
    protocol: AnyProtocol | None,
    observer: PipelineObserver,
    choice: RunnerChoice = RunnerChoice(),  # noqa: B008 - frozen
    on_figures: Callable[[StageFigures], None] = lambda _: None,
    work: Work = NEVER_PAUSED,
    timed: TimedJob = nullcontext,
) -> CompressRun:
    """Run the recipe and leave NAME-VERSION.edge, model.pte and stages.json in `output_dir`.

    The version is the first 12 digits of the SHA-256 of recipe and program: equal results have equal names.
    `choice` says how the device runs the programs it times. `work` is asked to pause, and each measurement is made
    within `timed`.

    Raises:
        EdgectlError: the recipe, its model, data or target, a stage, the lowering or the device; nothing is written.
    """
    from edgectl.compress.data import load_splits
    from edgectl.compress.pipeline import initial_state, run_stages

    _check_recipe_name(recipe.name)
    if device is not None and protocol is None:
        raise UsageError("a device without a measurement protocol", expected="both or neither")
    load_target(recipe.target)
    with output_folder(output_dir), _staging_folder(output_dir) as staging:
        with work.working("model"):
            data = load_splits(recipe.data)
            work.breathe()
            state = initial_state(recipe, data)
        timing = None if device is None or protocol is None else _Timing(device, protocol, choice, timed)
        run = _Run(recipe, data, Path(staging), timing, work=work)
        for result in run_stages(state, data, recipe.stages, seed=recipe.seed, observer=observer, work=work):
            on_figures(run.add(result))
        return run.finish(output_dir)


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
        data: DataSplits,
        staging: Path,
        timing: _Timing | None,
        *,
        work: Work,
    ) -> None:
        self._recipe, self._data, self._staging = recipe, data, staging
        self._timing, self._work = timing, work
        self._figures: list[StageFigures] = []
        self._measurements: list[Measurement] = []
        self._last: tuple[Path, BundleInfo, bytes] | None = None

    def add(self, result: StageResult) -> StageFigures:
        """Lower a stage's model, bundle it, time it, and note its figures."""
        program, golden = self._lowered(result)
        figures = _figures(result, program)
        last = len(self._figures) == len(self._recipe.stages)  # the baseline comes first
        name = self._recipe.name if last else self._recipe.name + _STAGE_SUFFIX
        version = content_version(self._recipe, program.data)
        path = self._staging / f"{name}-{version}.edge"
        info = self._write(path, figures, program, golden, name=name, version=version)
        figures = self._timed_figures(figures, path, name)
        self._figures.append(figures)
        self._last = (path, info, program.data)
        return figures

    def finish(self, output_dir: Path) -> CompressRun:
        """Move the files of the last stage into place, each whole.

        stages.json comes last. It names the bundle's file and digest, so a power cut between two moves leaves at worst
        the stages.json of the run before beside a newer model.pte.
        """
        if self._last is None:
            raise CompileError("the recipe yielded no stage", expected="at least the baseline")
        staged, info, program = self._last
        document = {
            "schema_version": 1,
            "bundle": {"file": staged.name, "digest": info.digest},
            "recipe": recipe_document(self._recipe),
            "versions": _versions(),
            "stages": [figures.document() for figures in self._figures],
            "measurements": [measurement.document() for measurement in self._measurements],
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
        )

    def _lowered(self, result: StageResult) -> tuple[LoweredProgram, GoldenSet]:
        from edgectl.lower.check import check_outputs
        from edgectl.lower.golden import make_golden
        from edgectl.lower.program import lower

        with self._work.working("lowering"):
            program = lower(result.state, work=self._work)
            self._work.breathe()
            golden = make_golden(result.state, self._data.test_inputs)
            check_outputs(program, golden)
        return program, golden

    def _write(
        self, path: Path, figures: StageFigures, program: LoweredProgram, golden: GoldenSet, *, name: str, version: str
    ) -> BundleInfo:
        from edgectl.lower.bundle import write_bundle

        timeless = [_without_times(entry) for entry in (*self._figures, figures)]
        return write_bundle(
            path,
            program=program,
            name=name,
            version=version,
            golden=golden.cases,
            tolerance=golden.tolerance,
            labels=self._data.labels,
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
        return replace(figures, insn=measured.p50) if measured.unit == "insn" else replace(figures, p50_ms=measured.p50)


def _figures(result: StageResult, program: LoweredProgram) -> StageFigures:
    return StageFigures(
        name=result.name,
        accuracy=result.metrics["accuracy"],
        parameters=result.parameters,
        macs=result.macs,
        program_bytes=len(program.data),
        p50_ms=None,
        delegation=program.delegation,
        seconds=result.seconds + program.seconds,
        notes=result.notes,
    )


def _without_times(figures: StageFigures) -> dict[str, Any]:
    """Times differ from run to run: in the bundle they would give equal programs different digests."""
    document = figures.document()
    return {key: value for key, value in document.items() if key not in ("p50_ms", "insn", "seconds", "untimed")}


def _versions() -> dict[str, str]:
    return {"edgectl": __version__} | {name: metadata.version(name) for name in ("torch", "executorch", "torchao")}


def _staging_folder(output_dir: Path) -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(dir=output_dir, prefix=".edgectl-")
    except OSError as error:
        raise UsageError(f"cannot write to {output_dir} ({error.strerror})", action="choose another folder") from error
