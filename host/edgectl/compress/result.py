# SPDX-License-Identifier: Apache-2.0
"""What a pipeline leaves: the model, the table of stages as data, and what was left as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import BundleError

from edgectl.compress.checkpoint.folder import load_folder, save_folder
from edgectl.compress.data.example import Example
from edgectl.compress.evaluation.user_module import UserModule
from edgectl.compress.pipeline.run import StageResult, run_stages
from edgectl.compress.quantize import runnable
from edgectl.compress.stages import Stage, stage_document
from edgectl.compress.state import Frozen, ModelState

if TYPE_CHECKING:
    from edgectl.compress.pipeline.cache import StageCache
    from edgectl.compress.pipeline.meters import ProgramMeter
    from edgectl.compress.pipeline.observer import PipelineObserver
    from edgectl.compress.pipeline.sources import Sources
    from edgectl.cores import Work


class StageRow(dict[str, Any]):
    """One row of the table: plain JSON, whose keys can be read as attributes too."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"a stage's row has no {name!r}, only {', '.join(self)}")


@dataclass(frozen=True, eq=False)
class Result:
    """A compressed model.

    Attributes:
        state: the graph with its overlays; `edgectl.lower.lower` takes the result or the state.
        example: how the model is called.
        stages: a row for the model as it came ("baseline") and for each stage, see `docs/python.md`.
        recipe: the stages and the seed that made it, as data.
    """

    state: ModelState
    example: Example
    stages: tuple[StageRow, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frozen(self) -> tuple[Frozen, ...]:
        """What could not be pruned or quantized: place, stage, reason, and how many channels where that is known."""
        return self.state.frozen

    @property
    def edits(self) -> tuple[str, ...]:
        """What was done to the model, in words."""
        return tuple(edit.summary for edit in self.state.edits)

    @cached_property
    def module(self) -> UserModule:
        """The compressed model in eager torch: takes and gives what the user's does, quantized where it is."""
        return UserModule(runnable(self.state), self.example)

    def save(self, path: Path | str) -> None:
        """Write the result into a folder, whole or not at all: JSON and safetensors, no pickle.

        Raises:
            UsageError: the folder holds something else, or cannot be written.
            CompileError: the graph holds an operator that cannot be saved.
        """
        rows = [dict(row) for row in self.stages]
        save_folder(Path(path), self.state, self.example, {"stages": rows, "recipe": dict(self.recipe)})

    @classmethod
    def load(cls, path: Path | str) -> Result:
        """The result in a folder; it computes bit for bit what the saved one did on the same machine.

        Raises:
            UsageError: there is no such folder.
            BundleError: it is damaged, or was not written by `save`.
        """
        state, example, extra = load_folder(Path(path))
        rows, recipe = extra.get("stages"), extra.get("recipe")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not isinstance(recipe, dict):
            raise BundleError(f"{path} has no table of stages", expected="a folder that Result.save wrote")
        return cls(state, example, tuple(map(StageRow, rows)), recipe)


def stage_row(result: StageResult) -> StageRow:
    """The figures of a stage as plain JSON."""
    program = result.program
    return StageRow(
        name=result.name,
        kind=result.kind,
        metrics=dict(result.metrics),
        accuracy=result.accuracy,
        per_class=dict(result.per_class),
        macs=result.macs,
        parameters=result.parameters,
        nonzeros=result.nonzeros,
        program_bytes=program.program_bytes if program else None,
        compressed_bytes=program.compressed_bytes if program else None,
        planned_bytes=program.planned_bytes if program else None,
        peak_bytes=program.peak_bytes if program else None,
        p50_ms=program.p50_ms if program else None,
        p95_ms=program.p95_ms if program else None,
        device=program.device if program else "",
        undelegated=dict(program.undelegated) if program else None,
        seconds=result.seconds,
        notes=list(result.notes),
    )


def collected(
    stages: Sequence[Stage],
    state: ModelState,
    example: Example,
    sources: Sources,
    *,
    seed: int,
    observer: PipelineObserver,
    meter: ProgramMeter | None,
    cache: StageCache | None,
    work: Work,
    on_stage: Callable[[StageResult], object] = lambda _: None,
) -> Result:
    """Run stages and keep what they leave.

    Raises:
        EdgectlError: see `Pipeline.run`.
    """
    rows = []
    last = state
    for result in run_stages(
        state,
        sources,
        stages,
        seed=seed,
        observer=observer,
        work=work,
        meter=meter,
        cache=cache,
        signature=example.signature,
    ):
        rows.append(stage_row(result))
        last = result.state
        on_stage(result)
    recipe = {
        "seed": seed,
        "stages": [{stage.kind: stage_document(stage.parameters)} for stage in stages],
    }
    return Result(last, Example.of(last, example.signature), tuple(rows), recipe)
