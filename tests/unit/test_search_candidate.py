# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from edgectl.compress.recipe import Recipe
from edgectl.lab.device_values import Installed
from edgectl.lab.measurement import Measurement, MemoryFigures
from edgectl.lab.protocol import SHORT, AnyProtocol
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.search.evaluator import Evaluation, ProgressCallback
from edgectl.search.loop import ENDS_THE_SEARCH
from edgectl.search.space import Genome
from edgectl.workflows.candidate import BuiltCandidate, CandidateEvaluator, candidate_recipe
from edgectl.workflows.search_file import parse_search
from edgectl.workflows.validation_split import split_indices
from edgectl_protos.errors import BundleError, CompileError, DatasetError, EdgectlError, RunnerError, UsageError
from hypothesis import given
from hypothesis import strategies as st

STUDY = parse_search(
    """\
version: 1
name: digits
model: edgectl.demo.digits:build_model
model_arguments: {depth: 2}
data: edgectl.demo.digits:load_data
seed: 3
stages:
  - finetune: {epochs: 2}
  - prune: {macs: 0.5}
  - quantize: {calibration_items: 64}
space:
  model.width: {integers: [8, 32], step: 8}
  prune.macs: {floats: [0.0, 0.6], step: 0.2}
  quantize.scheme: {choice: [none, int8]}
""",
    source="test",
)
GENOME: Genome = {"model.width": 16, "prune.macs": 0.4, "quantize.scheme": "int8"}


class FilesOnly:
    """Writes a file for a bundle, without a model."""

    def __init__(self, error: EdgectlError | None = None) -> None:
        self._error = error
        self.recipes: list[Recipe] = []
        self.folders: list[Path] = []

    def build(self, recipe: Recipe, into: Path, *, progress: ProgressCallback) -> BuiltCandidate:
        self.recipes.append(recipe)
        self.folders.append(into)
        (into / "candidate.edge").write_bytes(b"bundle")
        progress("finetune", 1.0)
        if self._error is not None:
            raise self._error
        return BuiltCandidate(
            bundle=into / "candidate.edge",
            name="digits-candidate",
            accuracy=0.95,
            parameters=1000,
            macs=5000,
            program_bytes=4096,
            delegated_fraction=1.0,
            seconds={"train": 2.0, "lower": 3.0},
        )


class Stopwatch:
    """Takes a bundle and says how long it took."""

    def __init__(self, *, unit: str = "ms", error: EdgectlError | None = None) -> None:
        self._unit = unit
        self._error = error
        self.received: list[bytes] = []
        self.choice: RunnerChoice | None = None

    def put_bundle(self, path: Path) -> Installed:
        self.received.append(path.read_bytes())
        return Installed("digits-candidate", "0", "sha256:aa", already_present=False)

    def benchmark(self, name: str, digest: str, protocol: AnyProtocol, *, choice: RunnerChoice) -> Measurement:
        self.choice = choice
        if self._error is not None:
            raise self._error
        assert (name, digest) == ("digits-candidate", "sha256:aa")
        return Measurement(
            samples=(1.5,),
            block_sizes=(1,),
            p50=1.5,
            p90=1.5,
            p95=None,
            p99=None,
            p50_interval=(1.5, 1.5),
            reference=None,
            memory=MemoryFigures(program_bytes=4096, planned_bytes=512, load_rss_bytes=1, peak_rss_bytes=7_000_000),
            load_ms=0.1,
            loads_ms=(0.1,),
            quality="ok",
            quality_reason="",
            attempts=((),),
            device="local",
            bundle_digest=digest,
            protocol=protocol.name,
            unit=self._unit,
        )


def evaluated(builder: FilesOnly, device: Stopwatch) -> Evaluation:
    ticks = iter(range(100))
    evaluator = CandidateEvaluator(
        STUDY, build=builder, device=device, protocol=SHORT, clock=lambda: float(next(ticks))
    )
    return evaluator.evaluate(GENOME, progress=lambda *_: None)


def test_a_candidate_is_judged_by_what_was_built_and_what_the_device_said() -> None:
    builder, device = FilesOnly(), Stopwatch()
    evaluation = evaluated(builder, device)
    assert evaluation.objectives == {"accuracy": 0.95, "p50_ms": 1.5, "program_bytes": 4096.0}
    assert device.received == [b"bundle"]
    figures = evaluation.figures
    assert (figures["planned_bytes"], figures["peak_rss_bytes"], figures["quality"]) == (512, 7_000_000, "ok")
    assert figures["seconds"] == {"train": 2.0, "lower": 3.0, "send": 1.0, "measure": 1.0}
    assert figures["recipe"]["model_arguments"] == {"depth": 2, "width": 16}  # type: ignore[index,call-overload]


@pytest.mark.parametrize("allowed", [False, True])
def test_operators_outside_the_delegate_are_timed_where_the_study_says_so(*, allowed: bool) -> None:
    device = Stopwatch()
    study = dataclasses.replace(STUDY, allow_undelegated=allowed)
    CandidateEvaluator(study, build=FilesOnly(), device=device, protocol=SHORT).evaluate(
        GENOME, progress=lambda *_: None
    )
    assert device.choice == RunnerChoice(allow_undelegated=allowed)
    assert study.comparable_settings(device={})["allow_undelegated"] is allowed


@pytest.mark.parametrize(
    ("builder", "device"),
    [
        (FilesOnly(CompileError("does not lower")), Stopwatch()),
        (FilesOnly(), Stopwatch(error=RunnerError("the program was killed"))),
        (FilesOnly(), Stopwatch(error=BundleError("damaged on arrival"))),
        (FilesOnly(), Stopwatch(unit="insn")),
        (FilesOnly(), Stopwatch()),
    ],
)
def test_nothing_of_a_candidate_is_left_on_disk_however_it_ends(builder: FilesOnly, device: Stopwatch) -> None:
    with suppress(EdgectlError):
        evaluated(builder, device)
    assert builder.folders
    assert not builder.folders[0].exists()


def test_instructions_are_not_taken_for_milliseconds_and_end_the_search() -> None:
    with pytest.raises(ENDS_THE_SEARCH, match="insn"):
        evaluated(FilesOnly(), Stopwatch(unit="insn"))


def test_the_genome_overwrites_the_base_and_leaves_the_rest() -> None:
    recipe = candidate_recipe(STUDY, GENOME)
    assert recipe.model_arguments == {"depth": 2, "width": 16}
    finetune, prune, quantize = (dataclasses.asdict(stage.parameters) for stage in recipe.stages)
    assert (finetune["epochs"], prune["macs"]) == (2, 0.4)
    assert (quantize["scheme"], quantize["calibration_items"]) == ("int8", 64)
    assert recipe.seed == 3


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({}, ["finetune", "prune", "quantize"]),
        ({"prune.macs": 0.0}, ["finetune", "quantize"]),
        ({"quantize.scheme": "none"}, ["finetune", "prune"]),
        ({"prune.macs": 0.0, "quantize.scheme": "none"}, ["finetune"]),
    ],
)
def test_a_genome_can_leave_stages_out(change: Genome, kinds: list[str]) -> None:
    assert [stage.kind for stage in candidate_recipe(STUDY, {**GENOME, **change}).stages] == kinds


def test_a_genome_that_leaves_no_stage_fails_as_a_candidate() -> None:
    study = dataclasses.replace(STUDY, stages=STUDY.stages[1:])
    with pytest.raises(CompileError, match="every stage off"):
        candidate_recipe(study, {**GENOME, "prune.macs": 0.0, "quantize.scheme": "none"})


def test_a_genome_that_leaves_distill_without_a_teacher_fails_as_a_candidate() -> None:
    text = """\
version: 1
name: trained
model: edgectl.demo.digits:build_model
data: edgectl.demo.digits:load_data
stages: [{prune: {macs: 0.5}}, {distill: {epochs: 1}}]
space: {prune.macs: {choice: [0, 0.5]}}
"""
    study = parse_search(text, source="test")  # legal: one of its genomes fails, the others do not
    assert [stage.kind for stage in candidate_recipe(study, {"prune.macs": 0.5}).stages] == ["prune", "distill"]
    with pytest.raises(CompileError, match="every stage before distill"):
        candidate_recipe(study, {"prune.macs": 0})


def test_a_value_no_recipe_takes_is_refused() -> None:
    with pytest.raises(UsageError, match="macs"):
        candidate_recipe(STUDY, {**GENOME, "prune.macs": 1.5})


@given(st.lists(st.integers(0, 3), min_size=8, max_size=80), st.floats(0.1, 0.6), st.integers(0, 99))
def test_a_split_is_disjoint_complete_and_in_proportion(targets: list[int], fraction: float, seed: int) -> None:
    try:
        train, validation = split_indices(targets, fraction=fraction, seed=seed)
    except DatasetError:
        return
    assert sorted(train + validation) == list(range(len(targets)))
    counts, held = Counter(targets), Counter(targets[index] for index in validation)
    assert all(held[label] == round(fraction * count) for label, count in counts.items())
    assert split_indices(targets, fraction=fraction, seed=seed) == (train, validation)


def test_another_seed_splits_otherwise() -> None:
    targets = [index % 10 for index in range(200)]
    first, second = (split_indices(targets, fraction=0.2, seed=seed)[1] for seed in (0, 1))
    assert first != second
    assert len(first) == len(second) == 40


@pytest.mark.parametrize("targets", [[0], [0, 1], []])
def test_too_few_items_to_split_are_refused(targets: list[int]) -> None:
    with pytest.raises(DatasetError, match="validate"):
        split_indices(targets, fraction=0.2, seed=0)
