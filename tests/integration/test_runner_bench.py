# SPDX-License-Identifier: Apache-2.0
"""`edge-runner bench`: the names and rules of its JSON, and how many runs it makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests import programs
from tests.runner_client import run_command

QUICK = ("--warmup-seconds", "0", "--warmup-runs", "3", "--json")


@pytest.mark.parametrize(("runs", "absent"), [(199, {"p95", "p99"}), (200, {"p99"}), (999, {"p99"}), (1000, set())])
def test_a_percentile_needs_its_samples(
    edge_runner: Path, program_directory: Path, runs: int, absent: set[str]
) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "bench", program, *QUICK, "--runs", str(runs)).report
    assert {name for name in ("p50", "p90", "p95", "p99") if report[name] is None} == absent
    for name in {"p50", "p90", "p95", "p99"} - absent:
        assert report[name] == pytest.approx(np.quantile(report["samples"], int(name[1:]) / 100))


def test_report_holds_every_named_figure(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "bench", program, *QUICK, "--blocks", "3", "--block-runs", "7",
                         "--block-seconds", "0", "--threads", "1").report  # fmt: skip
    assert report["unit"] == "ms"
    assert report["blocks"] == [7, 7, 7]
    assert len(report["samples"]) == 21
    assert all(sample > 0 for sample in report["samples"])
    assert (report["threads"], report["warmup_runs"]) == (1, 3)
    memory = report["memory"]
    assert memory["program_bytes"] == program.stat().st_size
    assert memory["planned_bytes"] > 0
    assert 0 < report["start_rss_bytes"] <= memory["load_rss_bytes"] <= memory["peak_rss_bytes"]
    assert report["load_ms"] > 0


def test_a_block_lasts_both_its_runs_and_its_seconds(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "bench", program, *QUICK, "--blocks", "2", "--block-runs", "5",
                         "--block-seconds", "0.05").report  # fmt: skip
    first, second = report["blocks"]
    assert first > 5
    assert second > 5
    assert sum(report["samples"][:first]) <= 50 + max(report["samples"][:first])


def test_stream_sends_each_block_and_then_the_report_without_samples(
    edge_runner: Path, program_directory: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "bench", program, *QUICK, "--stream", "--blocks", "3", "--block-runs", "600",
                          "--block-seconds", "0")  # fmt: skip
    *blocks, report = (json.loads(line) for line in outcome.out.splitlines())
    assert [block["block"] for block in blocks] == [0, 1, 2]
    assert [len(block["samples"]) for block in blocks] == report["blocks"] == [600, 600, 600]
    assert all(block["rss_bytes"] > 0 for block in blocks)
    assert "samples" not in report
    everything = [sample for block in blocks for sample in block["samples"]]
    assert report["p99"] == pytest.approx(np.quantile(everything, 0.99))


@pytest.mark.parametrize("option", ["--blocks", "--block-runs", "--block-seconds"])
def test_runs_and_blocks_exclude_each_other(edge_runner: Path, program_directory: Path, option: str) -> None:
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "bench", program, *QUICK, option, "7", "--runs", "5")
    assert outcome.code == 2
    assert f"--runs and {option}" in outcome.err


def test_given_inputs_are_used(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.embedding_program(program_directory)
    np.save(tmp_path / "in_range.npy", np.array([[3, 2, 1]]))
    np.save(tmp_path / "out_of_range.npy", np.array([[3, 2, 4]]))
    protocol = (*QUICK, "--runs", "5", "--input")
    assert run_command(edge_runner, "bench", program, *protocol, tmp_path / "in_range.npy").code == 0
    assert run_command(edge_runner, "bench", program, *protocol, tmp_path / "out_of_range.npy").code == 13


def test_default_inputs_suit_integer_inputs(edge_runner: Path, program_directory: Path) -> None:
    program = programs.embedding_program(program_directory)
    assert run_command(edge_runner, "bench", program, *QUICK, "--runs", "5").code == 0
