# SPDX-License-Identifier: Apache-2.0
"""A genome judged for real: its recipe is run, lowered, sent to the device and timed there.

A candidate is an ordinary recipe: what a search finds can be written down and run again. Only `build` needs torch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml
from edgectl_protos.errors import CompileError, UsageError

from edgectl.compress.recipe import Recipe, parse_recipe, recipe_document
from edgectl.lab.measurement import Measurement
from edgectl.lab.protocol import AnyProtocol
from edgectl.lab.quiet import TimedJob
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.search.configuration import MODEL_PREFIX, SearchConfiguration
from edgectl.search.evaluator import Evaluation, Json, ProgressCallback
from edgectl.search.objectives import INSTRUCTIONS
from edgectl.search.space import Choice, Dimension, Genome, Value
from edgectl.workflows.compress_run import TimingDevice

# Values by which a genome leaves a stage out.
ABSENT: dict[str, Value] = {
    "finetune.epochs": 0,
    "distill.epochs": 0,
    "prune.macs": 0,
    "prune.parameters": 0,
    "prune.channels": 0,
    "prune.bytes": 0,
    "sparsify.sparsity": 0,
    "quantize.scheme": "none",
}


@dataclass(frozen=True, slots=True)
class BuiltCandidate:
    """A bundle on disk, its name, and what was learned while making it; `accuracy` is that on the validation items."""

    bundle: Path
    name: str
    accuracy: float
    parameters: int
    macs: int
    program_bytes: int
    delegated_fraction: float
    seconds: dict[str, float]


class CandidateBuilder(Protocol):
    def build(self, recipe: Recipe, into: Path, *, progress: ProgressCallback) -> BuiltCandidate:
        """Run a recipe and write its bundle into a folder.

        Raises:
            EdgectlError: the candidate cannot be built, with the reason.
        """
        ...


class CandidateEvaluator:
    """Implements `edgectl.search.evaluator.Evaluator`.

    Args:
        configuration: what stays the same for every candidate.
        build: makes the bundle.
        device: where it is timed.
        protocol: how it is measured, and in what unit.
        timed: what a measurement is made within.
        clock: seconds, for the figures.
    """

    def __init__(
        self,
        configuration: SearchConfiguration,
        *,
        build: CandidateBuilder,
        device: TimingDevice,
        protocol: AnyProtocol,
        timed: TimedJob = nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = configuration
        self._build = build
        self._device = device
        self._protocol = protocol
        self._timed = timed
        self._choice = RunnerChoice(allow_undelegated=configuration.allow_undelegated)
        self._clock = clock

    def evaluate(self, genome: Genome, *, progress: ProgressCallback) -> Evaluation:
        recipe = candidate_recipe(self._configuration, genome)
        with tempfile.TemporaryDirectory(prefix="edgectl-candidate-") as folder:
            built = self._build.build(recipe, Path(folder), progress=progress)
            begun = self._clock()
            progress("send", 0.0)
            installed = self._device.put_bundle(built.bundle)
        sent = self._clock()
        progress("measure", 0.0)
        with self._timed():
            measured = self._device.benchmark(built.name, installed.digest, self._protocol, choice=self._choice)
        seconds = {**built.seconds, "send": sent - begun, "measure": self._clock() - sent}
        if measured.unit != self._protocol.unit:
            # Every candidate would end so: it is the choice of device that is wrong.
            raise UsageError(
                f"device {measured.device} measures {measured.unit}",
                expected=self._protocol.unit,
                action="search on another device",
            )
        cost = "p50_ms" if measured.unit == "ms" else INSTRUCTIONS.name
        return Evaluation(
            {"accuracy": built.accuracy, cost: measured.p50, "program_bytes": float(built.program_bytes)},
            _figures(recipe, built, measured, seconds),
        )


def candidate_recipe(configuration: SearchConfiguration, genome: Genome) -> Recipe:
    """The recipe of a genome: the base stages with its values put in, those left out that it switches off.

    Raises:
        CompileError: no stage is left, or none before a distillation that had one.
        UsageError: a value is not legal there.
    """
    arguments = dict(configuration.model_arguments)
    stages = {stage.kind: dict(stage.parameters) for stage in configuration.stages}
    for name, value in genome.items():
        owner, _, parameter = name.partition(".")
        if owner == MODEL_PREFIX:
            arguments[parameter] = value
        elif ABSENT.get(name) == value:
            stages.pop(owner, None)
        elif owner in stages:
            stages[owner][parameter] = value
    if not stages:
        raise CompileError("the genome switches every stage off", expected="a recipe of one stage or more")
    kinds = [stage.kind for stage in configuration.stages]
    if next(iter(stages)) == "distill" != kinds[0]:
        raise CompileError(
            "the genome switches off every stage before distill, and the teacher would be the student itself",
            expected="one that trains or shrinks the model",
        )
    document = {
        "version": 1,
        "name": configuration.name,
        "model": configuration.model,
        "model_arguments": arguments,
        "data": configuration.data,
        "seed": configuration.seed,
        "target": configuration.target,
        "stages": [{kind: parameters} for kind, parameters in stages.items()],
    }
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=True, width=1 << 20)
    return parse_recipe(text, source=f"a candidate of {configuration.name}")


def check_candidates(configuration: SearchConfiguration, *, source: str) -> None:
    """Try each dimension's values, the ends of its range for numbers, against the rules of recipes.

    A genome that switches off too much is legal: it becomes a failed candidate.

    Raises:
        UsageError: one of them could never be built.
    """
    first: Genome = {dimension.name: next(_ends(dimension)) for dimension in configuration.space.dimensions}
    for dimension in configuration.space.dimensions:
        for value in _ends(dimension):
            try:
                with suppress(CompileError):
                    candidate_recipe(configuration, {**first, dimension.name: value})
            except UsageError as error:
                raise UsageError(
                    f"{source}: the space holds values that make no legal recipe: {error.seen}",
                    expected=error.expected,
                    action=error.action,
                ) from error


def _ends(dimension: Dimension) -> Iterator[Value]:
    """Highest first: a 0 that leaves a stage out must not hide what is wrong with the stage."""
    if isinstance(dimension, Choice):
        yield from sorted(dimension.values, key=lambda value: value == ABSENT.get(dimension.name))
    else:
        yield from (dimension.high, dimension.low)


def _figures(
    recipe: Recipe, built: BuiltCandidate, measured: Measurement, seconds: dict[str, float]
) -> dict[str, Json]:
    memory = measured.memory
    return {
        "parameters": built.parameters,
        "macs": built.macs,
        "delegated_fraction": built.delegated_fraction,
        "planned_bytes": memory.planned_bytes,
        "peak_rss_bytes": memory.peak_rss_bytes,
        "load_ms": measured.load_ms,
        "samples": len(measured.samples),
        "quality": measured.quality,
        "quality_reason": measured.quality_reason,
        "protocol": measured.protocol,
        "bundle_digest": measured.bundle_digest,
        "seconds": dict(seconds),
        "recipe": _json(recipe_document(recipe)),
    }


def _json(value: object) -> Json:
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} in a recipe's document is not JSON")
