# SPDX-License-Identifier: Apache-2.0
"""A recipe whose program does not fit its target leaves nothing; a stage before one that fits may be too large."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from edgectl.compress.pipeline import SilentObserver
from edgectl.compress.recipe import parse_recipe
from edgectl.lower.bundle import write_bundle
from edgectl.lower.delegation import DelegationReport
from edgectl.lower.program import Program
from edgectl.lower.program_memory import ProgramMemory
from edgectl.targets import Target, load_target
from edgectl.workflows import compress_run
from edgectl.workflows.compress_run import CompressRun, compress
from edgectl_protos.errors import CompileError
from edgectl_protos.manifest import Tolerance

RECIPE = parse_recipe(
    """
version: 1
name: tiny
model: edgectl.demo.digits:build_model
model_arguments: {width: 16, depth: 1}
data: edgectl.demo.digits:load_data
target: pi4
stages:
  - quantize: {scheme: int8, calibration_items: 64}
""",
    source="tiny.yaml",
)


def run(output_dir: Path) -> CompressRun:
    return compress(RECIPE, output_dir=output_dir, device=None, protocol=None, observer=SilentObserver())


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> CompressRun:
    return run(tmp_path_factory.mktemp("roomy") / "out")


def narrow(monkeypatch: pytest.MonkeyPatch, available_bytes: int) -> None:
    """The Raspberry Pi 4 with so much for a program."""

    def load(name: str) -> Target:
        return replace(load_target(name), available_bytes=available_bytes)

    monkeypatch.setattr(compress_run, "load_target", load)


def test_fit_is_reported_and_its_estimate_travels_in_the_bundle(roomy: CompressRun) -> None:
    assert roomy.fit.target == "pi4"
    assert roomy.info.manifest.requirements.memory_bytes == roomy.fit.peak_bytes > 7_000_000
    document = json.loads((roomy.bundle.parent / "stages.json").read_text())
    assert document["target"] == roomy.fit.document()
    assert document["target"]["available_bytes"] == 640 << 20


def test_stage_that_is_too_large_does_not_stop_one_that_fits(
    roomy: CompressRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch, roomy.fit.peak_bytes)
    again = run(tmp_path / "out")
    assert again.info.digest == roomy.info.digest
    assert "at its peak" in again.stages[0].untimed
    assert again.stages[1].untimed == ""


def test_last_program_that_does_not_fit_leaves_nothing(
    roomy: CompressRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch, roomy.fit.peak_bytes - 1)
    with pytest.raises(CompileError, match=r"at its peak .*; expected at most \d\.\d MiB, which pi4 has"):
        run(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_bundle_of_a_program_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    large = Program(
        b"program",
        DelegationReport({}, {}),
        (),
        (),
        (),
        0.0,
        memory=ProgramMemory(1, 1 << 30, 0, 0, 0, ("float32",)),
    )
    with pytest.raises(CompileError, match="pi-zero-2w"):
        write_bundle(
            tmp_path / "net.edge",
            program=large,
            name="net",
            version="1",
            golden=(),
            tolerance=Tolerance(0.0, 0.0),
            labels=(),
            target=load_target("pi-zero-2w"),
            provenance={},
        )
    assert list(tmp_path.iterdir()) == []
