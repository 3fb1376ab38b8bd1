# SPDX-License-Identifier: Apache-2.0
"""A recipe end to end with a real agent: every stage is timed there, and the last bundle passes its gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgectl.compress.pipeline import SilentObserver
from edgectl.compress.recipe import parse_recipe
from edgectl.lab.client import AgentClient
from edgectl.lab.local import LocalAgent
from edgectl.lab.protocol import MeasurementProtocol
from edgectl.workflows.compress_run import compress
from edgectl_protos.errors import UnreachableError

RECIPE = parse_recipe(
    """
version: 1
name: tiny
model: edgectl.demo.digits:build_model
model_arguments: {width: 8, depth: 1}
data: edgectl.demo.digits:load_data
stages:
  - quantize: {scheme: int8, calibration_items: 64}
""",
    source="tiny.yaml",
)
QUICK = MeasurementProtocol("quick", warmup_seconds=0, warmup_runs=1, blocks=2, block_runs=5, block_seconds=0)


def test_every_stage_is_timed_on_the_device_and_the_last_bundle_passes_its_gate(tmp_path: Path) -> None:
    with LocalAgent(tmp_path / "agent") as agent, AgentClient(agent.address) as client:
        run = compress(RECIPE, output_dir=tmp_path / "out", device=client, protocol=QUICK, observer=SilentObserver())
        activation = client.activate("tiny", run.info.digest)
    assert activation.golden_max_abs_error <= run.info.manifest.tolerance.absolute
    assert [figures.p50_ms for figures in run.stages] == [measured.p50 for measured in run.measurements]
    assert len({measured.bundle_digest for measured in run.measurements}) == len(run.stages) == 2
    assert run.measurements[-1].bundle_digest == run.info.digest
    document = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert [entry["protocol"] for entry in document["measurements"]] == ["quick", "quick"]
    assert document["stages"][-1]["p50_ms"] == run.measurements[-1].p50 > 0


def test_device_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with AgentClient("127.0.0.1:1") as client, pytest.raises(UnreachableError):
        compress(RECIPE, output_dir=tmp_path / "out", device=client, protocol=QUICK, observer=SilentObserver())
    assert list(tmp_path.iterdir()) == []
