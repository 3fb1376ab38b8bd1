# SPDX-License-Identifier: Apache-2.0
"""`edge-runner profile`: the program's calls and their operators, and the ETDump of the same runs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from tests import programs
from tests.runner_client import run_command


def test_calls_come_in_program_order_with_their_operators(edge_runner: Path, program_directory: Path) -> None:
    program = programs.layered_program(program_directory)
    report = run_command(edge_runner, "profile", program, "--json", "--runs", "30", "--threads", "1").report
    assert (report["unit"], report["runs"], report["threads"]) == ("us", 30, 1)
    assert len(report["execute"]["samples"]) == 30
    assert report["execute"]["p50"] == pytest.approx(median(report["execute"]["samples"]))
    before, kernel, after = report["calls"]
    assert [call["index"] for call in report["calls"]] == [0, 1, 2]
    assert (before["kind"], before["name"]) == ("delegate", "XnnpackBackend")
    assert [one["name"].partition(" (")[0] for one in before["operators"]] == ["Fully Connected", "Fully Connected"]
    assert (kernel["kind"], kernel["name"], kernel["operators"]) == ("kernel", "aten::cumsum.out", [])
    assert (after["kind"], len(after["operators"])) == ("delegate", 1)
    assert 0 < sum(one["p50"] for one in before["operators"]) <= 1.2 * before["p50"]
    assert sum(call["p50"] for call in report["calls"]) <= 1.2 * report["execute"]["p50"]


def test_the_runtimes_own_kernels_are_calls_without_a_name(edge_runner: Path, program_directory: Path) -> None:
    program = programs.counting_program(program_directory)
    calls = run_command(edge_runner, "profile", program, "--json").report["calls"]
    assert calls[-1]["name"] == "aten::sin.out"
    assert {call["name"] for call in calls[:-1]} == {"executorch_prim::unnamed"}
    indices = [call["index"] for call in calls]
    assert all(left < right for left, right in pairwise(indices))


def test_runs_before_the_recorded_ones_are_not_in_it(edge_runner: Path, program_directory: Path) -> None:
    program = programs.portable_program(program_directory)
    words = ("profile", program, "--json", "--runs", "3", "--warmup-runs")
    for warmup_runs in ("0", "7"):
        report = run_command(edge_runner, *words, warmup_runs).report
        assert (report["runs"], len(report["execute"]["samples"])) == (3, 3)


def test_the_inspector_sees_the_same_operators_and_times(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    from executorch.devtools import Inspector

    program = programs.layered_program(program_directory)
    runs = 9
    report = run_command(
        edge_runner, "profile", program, "--json", "--runs", str(runs), "--etdump", tmp_path / "dump.etdp"
    ).report
    (block,) = Inspector(etdump_path=str(tmp_path / "dump.etdp")).event_blocks
    told = [
        (entry["name"].removeprefix("aten::"), entry["p50"])
        for call in report["calls"]
        for entry in (call["operators"] or [call])
    ]
    seen = [
        (event.name.removeprefix("native_call_"), event.perf_data.raw)
        for event in block.events
        if event.is_delegated_op or event.name.startswith("native_call_")
    ]
    assert [name for name, _ in seen] == [name for name, _ in told]
    for (name, times), (_, p50) in zip(seen, told, strict=True):
        assert len(times) == runs
        assert median(times) * 1e3 == pytest.approx(p50, abs=0.5), name


def test_the_table_begins_with_what_takes_longest(edge_runner: Path, program_directory: Path) -> None:
    outcome = run_command(edge_runner, "profile", programs.conv_net_program(program_directory))
    assert outcome.code == 0
    heading, *rows, elsewhere, whole = outcome.out.splitlines()
    assert heading.split() == ["p50", "us", "share", "operator"]
    times = [float(row.split()[0]) for row in rows]
    assert times == sorted(times, reverse=True)
    assert "Convolution" in rows[0]
    assert elsewhere.endswith("elsewhere")
    assert whole.split()[1:3] == ["100.0%", "execute,"]
    total = sum(float(row.split()[1].rstrip("%")) for row in [*rows, elsewhere])
    assert total == pytest.approx(100, abs=5)


def test_given_inputs_are_used_and_a_failed_run_leaves_no_etdump(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.embedding_program(program_directory)
    np.save(tmp_path / "out_of_range.npy", np.array([[3, 2, 4]]))
    outcome = run_command(edge_runner, "profile", program, "--json", "--etdump", tmp_path / "dump",
                          "--input", tmp_path / "out_of_range.npy")  # fmt: skip
    assert outcome.code == 13
    assert outcome.report["error"]["code"] == "execution_failed"
    assert [path.name for path in tmp_path.iterdir()] == ["out_of_range.npy"]


def test_an_etdump_that_cannot_be_written_is_io_and_leaves_what_was_there(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.portable_program(program_directory)
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "dump", tmp_path / "folder", Path("/dev/full/dump")):
        outcome = run_command(edge_runner, "profile", program, "--json", "--etdump", path)
        assert outcome.code == 15
        assert outcome.err.startswith("edge-runner: io: ")
        assert list(outcome.report) == ["error"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    "words", [("--runs", "0"), ("--runs", "10001"), ("--warmup-runs", "-1"), ("--etdump",), ("--blocks", "2")]
)
def test_a_wrong_option_is_usage(edge_runner: Path, program_directory: Path, words: tuple[str, ...]) -> None:
    outcome = run_command(edge_runner, "profile", programs.portable_program(program_directory), *words)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
