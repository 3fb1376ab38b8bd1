# SPDX-License-Identifier: Apache-2.0
"""`edgectl demo` as a user runs it: the real command, a real agent and broker, real training, a small search."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

EDGECTL = Path(sys.executable).parent / "edgectl"
FIGURES = {"accuracy", "parameters", "program_bytes", "p50_ms", "delegated_fraction"}


def start(arguments: list[str], workspace: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "EDGECTL_HOME": str(workspace / "home"), "TMPDIR": str(workspace)}
    return subprocess.Popen(
        [str(EDGECTL), "demo", *arguments],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    workspace = tmp_path_factory.mktemp("demo")
    process = start(["--folds", "1", "--candidates", "2", "--out", "out", "-o", "json"], workspace)
    output, progress = process.communicate(timeout=280)
    assert process.returncode == 0, progress
    return workspace, json.loads(output), progress


def test_the_report_holds_the_names_that_checks_read(finished: tuple[Path, dict[str, Any], str]) -> None:
    workspace, printed, _ = finished
    report = json.loads((workspace / "out" / "report.json").read_text("utf-8"))
    assert report == printed
    for name in ("baseline", "compressed"):
        assert report[name].keys() >= FIGURES
        measurement = report[name]["measurement"]
        assert measurement["unit"] == "ms"
        assert len(measurement["samples"]) >= 300
        assert set(measurement["memory"]) == {"program_bytes", "planned_bytes", "load_rss_bytes", "peak_rss_bytes"}
    assert [stage["name"] for stage in report["stages"]] == ["baseline", "prune", "distill", "quantize"]
    assert all(stage.keys() >= FIGURES for stage in report["stages"])
    assert all(
        entry.keys() >= {"genome", "accuracy", "p50_ms", "program_bytes"} for entry in report["search"]["candidates"]
    )
    assert report["agent"]["pss_bytes"] > 0


def test_the_recipe_keeps_what_it_promises(finished: tuple[Path, dict[str, Any], str]) -> None:
    _, report, _ = finished
    baseline, compressed = report["baseline"], report["compressed"]
    assert baseline["parameters"] >= 150_000
    assert baseline["program_bytes"] >= 3.5 * report["int8_same_architecture"]["program_bytes"]
    assert compressed["program_bytes"] < report["int8_same_architecture"]["program_bytes"]
    assert [stage["delegated_fraction"] for stage in report["stages"]] == [1.0] * 4
    assert report["deployed"]["agreement"] >= 0.98 * report["deployed"]["items"]


def test_every_candidate_was_timed_and_the_front_points_at_candidates(
    finished: tuple[Path, dict[str, Any], str],
) -> None:
    _, report, _ = finished
    search = report["search"]
    assert len(search["candidates"]) + len(search["failed"]) == 2
    assert search["failed"] == []
    assert all(entry["p50_ms"] > 0 and entry["figures"]["samples"] >= 300 for entry in search["candidates"])
    assert set(search["pareto"]) <= set(range(len(search["candidates"])))
    assert search["pareto"]


def test_telemetry_came_over_both_channels(finished: tuple[Path, dict[str, Any], str]) -> None:
    _, report, _ = finished
    assert report["telemetry"]["failures"] == {}
    assert report["telemetry"]["grpc_records"] >= 10
    assert report["telemetry"]["mqtt_records"] >= 10


def test_the_page_and_the_pictures_are_whole_and_nothing_else_is_left(
    finished: tuple[Path, dict[str, Any], str],
) -> None:
    workspace, _, progress = finished
    assert sorted(path.name for path in (workspace / "out").iterdir()) == [
        "digits.edge",
        "front.png",
        "report.html",
        "report.json",
    ]
    page = (workspace / "out" / "report.html").read_text("utf-8")
    assert page.rstrip().endswith("</html>")
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert (workspace / "out" / "front.png").read_bytes().startswith(b"\x89PNG")
    assert list(workspace.glob("edgectl-*")) == []
    assert "\x1b[" not in progress


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_demo_leaves_no_process_and_no_folder_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with start(["--folds", "1", "--candidates", "1", "--out", "out"], tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("train and compress"):
                break
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(timeout=30) == code, said
    assert children
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.glob("edgectl-demo-*")) == []
