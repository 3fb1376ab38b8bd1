# SPDX-License-Identifier: Apache-2.0
"""A recipe end to end without a device: three files that agree with each other, or none."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from edgectl.compress.pipeline import SilentObserver
from edgectl.compress.recipe import Recipe, parse_recipe, recipe_document
from edgectl.lab.measurement import Measurement
from edgectl.lab.protocol import SHORT
from edgectl.workflows.compress_run import CompressRun, compress, content_version
from edgectl.workflows.stage_figures import StageFigures
from edgectl_protos.bundle import open_bundle
from edgectl_protos.errors import DatasetError, EdgectlError, UndelegatedError, UsageError

TEXT = """
version: 1
name: tiny
model: edgectl.demo.digits:build_model
model_arguments: {width: 4, depth: 1}
data: edgectl.demo.digits:load_data
stages:
  - finetune: {epochs: 4, learning_rate: 0.01, batch_size: 64}
  - quantize: {scheme: int8, calibration_items: 64}
"""
RECIPE = parse_recipe(TEXT, source="tiny.yaml")


@dataclass(frozen=True, slots=True)
class Finished:
    run: CompressRun
    heard: list[StageFigures]


class Interrupted(SilentObserver):
    """Presses Ctrl-C when a stage is done."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def stage_finished(self, result: object) -> None:
        if getattr(result, "name", "") == self.stage:
            raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class Placed:
    digest: str


class RefusesToTime:
    """A device that finds operators outside the delegate in every program."""

    def put_bundle(self, path: Path) -> Placed:
        return Placed(path.name)

    def benchmark(self, *_: object, **__: object) -> Measurement:
        raise UndelegatedError("1 operator runs outside the delegate: aten::sin.out (99.0% of the time)")


def run(output_dir: Path, *, recipe: Recipe = RECIPE, observer: SilentObserver | None = None) -> Finished:
    heard: list[StageFigures] = []
    finished = compress(
        recipe,
        output_dir=output_dir,
        device=None,
        protocol=None,
        observer=observer or SilentObserver(),
        on_figures=heard.append,
    )
    return Finished(finished, heard)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("out") / "below" / "it")


def test_three_files_and_no_temporary_are_left(finished: Finished) -> None:
    folder = finished.run.bundle.parent
    version = finished.run.info.manifest.version
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        ["model.pte", "stages.json", f"tiny-{version}.edge"]
    )


def test_files_agree_with_each_other(finished: Finished) -> None:
    document = json.loads((finished.run.bundle.parent / "stages.json").read_text())
    with open_bundle(finished.run.bundle) as bundle:
        bundle.verify()
        program = bundle.read("model.pte")
        digest = bundle.info.digest
    assert finished.run.program.read_bytes() == program
    assert document["bundle"] == {"file": finished.run.bundle.name, "digest": digest}
    assert document["recipe"] == recipe_document(RECIPE)
    assert document["stages"] == [figures.document() for figures in finished.run.stages]
    assert document["stages"][-1]["program_bytes"] == len(program)


def test_every_stage_is_measured_in_order_from_the_baseline(finished: Finished) -> None:
    assert [figures.name for figures in finished.heard] == ["baseline", "finetune", "quantize"]
    assert tuple(finished.heard) == finished.run.stages
    baseline, trained, quantized = finished.run.stages
    assert trained.metrics["accuracy"] > baseline.metrics["accuracy"]
    assert trained.download_bytes < trained.program_bytes
    assert quantized.program_bytes < trained.program_bytes
    assert quantized.parameters == trained.parameters == baseline.parameters
    for figures in finished.run.stages:
        assert figures.p50_ms is None
        assert (figures.delegation.fraction, figures.delegation.undelegated) == (1.0, {})
        assert figures.delegation.delegated["aten.convolution.default"] > 0
        assert figures.document()["delegated"] == figures.delegation.delegated
        assert figures.document()["undelegated"] == {}
    assert {"name", "accuracy", "parameters", "program_bytes", "p50_ms", "delegated_fraction"} <= set(
        baseline.document()
    )


def test_bundle_tells_where_it_came_from_and_no_time_of_day(finished: Finished) -> None:
    provenance = finished.run.info.manifest.provenance
    assert provenance["recipe"] == recipe_document(RECIPE)
    assert set(provenance["versions"]) == {"edgectl", "torch", "executorch", "torchao"}
    assert [entry["name"] for entry in provenance["stages"]] == ["baseline", "finetune", "quantize"]
    assert not {"seconds", "p50_ms"} & set(provenance["stages"][0])
    assert finished.run.info.manifest.labels == tuple("0123456789")


def test_a_stage_the_device_will_not_time_says_why_and_the_run_goes_on(finished: Finished, tmp_path: Path) -> None:
    refused = compress(RECIPE, output_dir=tmp_path, device=RefusesToTime(), protocol=SHORT, observer=SilentObserver())
    assert [figures.p50_ms for figures in refused.stages] == [None] * 3
    assert all(figures.untimed.startswith("1 operator runs outside") for figures in refused.stages)
    assert refused.measurements == ()
    assert refused.info.digest == finished.run.info.digest


def test_second_run_gives_the_same_bundle_byte_for_byte(finished: Finished, tmp_path: Path) -> None:
    again = run(tmp_path)
    assert again.run.bundle.name == finished.run.bundle.name
    assert (
        hashlib.sha256(again.run.bundle.read_bytes()).digest()
        == hashlib.sha256(finished.run.bundle.read_bytes()).digest()
    )


def test_version_names_recipe_and_program() -> None:
    other = parse_recipe(TEXT.replace("0.01", "0.02"), source="tiny.yaml")
    versions = {content_version(RECIPE, b"a"), content_version(RECIPE, b"b"), content_version(other, b"a")}
    assert len(versions) == 3
    assert content_version(RECIPE, b"a") == content_version(parse_recipe(TEXT, source="elsewhere"), b"a")


def test_interrupt_leaves_the_files_of_the_run_before_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "model.pte").write_bytes(b"of the run before")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, observer=Interrupted("finetune"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pte"]
    assert (tmp_path / "model.pte").read_bytes() == b"of the run before"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("digits:load_data", "digits:load_dota", DatasetError),
        ("digits:build_model", "digits:build_modle", UsageError),
    ],
)
@pytest.mark.parametrize("folder", ["", "below/it"])
def test_bad_recipe_leaves_nothing(tmp_path: Path, old: str, new: str, error: type[EdgectlError], folder: str) -> None:
    recipe = parse_recipe(TEXT.replace(old, new), source="tiny.yaml")
    with pytest.raises(error) as caught:
        run(tmp_path / folder, recipe=recipe)
    assert "\n" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_name_that_is_too_long_is_told_as_it_was_given(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, name="n" * 58)
    with pytest.raises(UsageError, match=f"name '{'n' * 58}'; expected 1 to 57 letters"):
        run(tmp_path / "out", recipe=recipe)
    assert list(tmp_path.iterdir()) == []


def test_folder_with_something_in_it_outlives_a_failing_run(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", observer=Interrupted("baseline"))
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_folder_that_cannot_be_made_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot write to"):
        run(tmp_path / "file" / "out", observer=Interrupted("baseline"))
