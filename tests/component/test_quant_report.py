# SPDX-License-Identifier: Apache-2.0
"""`edgectl quant-report` on a saved result: a table, JSON, a page; and what is no quantized model is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from edgectl.compress import Pipeline, Quantize
from edgectl.compress.pipeline.observer import SilentObserver
from edgectl.workflows.quant_report import QuantReport, quant_report
from edgectl.workflows.quant_report_page import report_page
from edgectl_protos.errors import UsageError
from torch import nn


@cache
def saved(folder: Path, *, quantized: bool = True) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 16), nn.GELU(), nn.Linear(16, 4)
        )
    batches = [torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(index)) for index in range(2)]
    stages = [Quantize("int8", exclude=("5",))] if quantized else []
    result = Pipeline(stages).run(net, example_inputs=(batches[0][:1],), calibration=batches)
    result.save(folder / "result")
    return folder / "result"


def report(path: Path) -> QuantReport:
    return quant_report(path, cache=None, observer=SilentObserver())


def test_a_saved_result_is_reported_layer_by_layer(tmp_path: Path) -> None:
    found = report(saved(tmp_path))
    by_place = {layer.place: layer for layer in found.layers}
    assert by_place["0"].scheme == "int8"
    assert 15 < by_place["0"].sqnr_db < 60
    assert by_place["5"].cause == "float, as the recipe says"
    assert found.unannotated["aten.gelu.default"] == ("4",)
    page = report_page(found)
    assert "<script" not in page
    assert 'class="bar"' in page


def test_command_prints_json_and_writes_the_page(tmp_path: Path) -> None:
    homes = {name: str(tmp_path / "home") for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    words = ["quant-report", str(saved(tmp_path)), "--html", str(tmp_path / "page.html"), "-o", "json"]
    command = [str(Path(sys.executable).with_name("edgectl")), *words]
    outcome = subprocess.run(command, env={**os.environ, **homes}, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    document = json.loads(outcome.stdout)
    assert {layer["place"] for layer in document["layers"]} == {"0", "3", "5"}
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_what_is_no_quantized_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        report(tmp_path / "none.edge")
    with pytest.raises(UsageError, match="is not quantized"):
        report(saved(tmp_path, quantized=False))
