# SPDX-License-Identifier: Apache-2.0
"""`edge-runner periodic`: releases at a fixed rate, and what becomes of those that cannot be served."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import programs
from tests.runner_client import run_command

COLD = ("--warmup-seconds", "0", "--warmup-runs", "5")


def schedule(rate: float, seconds: float, deadline_ms: float) -> tuple[str, ...]:
    return ("--rate", str(rate), "--seconds", str(seconds), "--deadline-ms", str(deadline_ms))


def assert_consistent(report: dict[str, Any]) -> None:
    """What holds however the machine was disturbed."""
    assert report["executed"] + report["skipped"] == report["releases"]
    assert report["skipped"] <= report["missed"] <= report["releases"]
    assert report["missed_share"] == pytest.approx(report["missed"] / report["releases"])
    period_ms = 1e3 / report["rate_hz"]
    assert 0 <= report["lateness"]["p50"] <= report["lateness"]["max"] < period_ms
    assert report["execute"]["max"] <= report["response"]["max"]
    for name in ("response", "execute", "lateness"):
        assert (report[name]["p95"] is None) == (report["executed"] < 200)
        assert (report[name]["p99"] is None) == (report["executed"] < 1000)
        assert report[name]["p50"] <= report[name]["p90"] <= report[name]["max"]


def test_every_release_of_an_easy_rate_is_served(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    begin = time.monotonic()
    report = run_command(
        edge_runner, "periodic", program, "--json", "--threads", "1", *COLD, *schedule(100, 1, 500)
    ).report
    assert time.monotonic() - begin >= 0.98
    assert_consistent(report)
    assert (report["unit"], report["rate_hz"], report["seconds"], report["deadline_ms"]) == ("ms", 100, 1, 500)
    assert report["releases"] == 100
    assert report["executed"] >= 80
    assert report["missed"] == report["skipped"]
    assert report["longest_gap_ms"] >= 9
    assert report["jitter_ms"] > 0
    assert (report["threads"], report["warmup_runs"]) == (1, 5)
    assert report["cpus"] == sorted(os.sched_getaffinity(0))
    assert report["memory"]["peak_rss_bytes"] >= report["memory"]["load_rss_bytes"] > 0


def test_a_response_after_its_deadline_is_missed(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "periodic", program, "--json", *COLD, *schedule(200, 0.5, 1e-6)).report
    assert_consistent(report)
    assert report["missed"] == report["releases"] == 100
    assert report["missed_share"] == 1


def test_releases_beyond_what_can_be_served_are_skipped(edge_runner: Path, program_directory: Path) -> None:
    program = programs.conv_net_program(program_directory)
    report = run_command(
        edge_runner, "periodic", program, "--json", "--threads", "1", *COLD, *schedule(10_000, 0.5, 1000)
    ).report
    assert_consistent(report)
    assert report["releases"] == 5000
    assert report["skipped"] == report["missed"] > 2000
    assert 0.25 <= report["executed"] * report["execute"]["p50"] / 500 <= 1.1


def test_a_late_release_is_served_at_once_and_the_next_ones_keep_to_the_clock(
    edge_runner: Path, program_directory: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    with streaming(edge_runner, program, *COLD, *schedule(4, 2, 1000)) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["window"] == 0
        # The first second's last release was at 0.75 s: the next is due in 0.25 s.
        time.sleep(0.1)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.25)
        process.send_signal(signal.SIGCONT)
        *_, report = (json.loads(line) for line in process.stdout)
    assert_consistent(report)
    assert (report["releases"], report["skipped"]) == (8, 0)
    assert 50 < report["lateness"]["max"] < 250
    assert report["lateness"]["p50"] < 25


def test_a_stall_is_skipped_releases_and_a_long_gap(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    with streaming(edge_runner, program, *COLD, *schedule(100, 2.5, 100)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
        lines += process.stdout.readlines()
    *windows, report = (json.loads(line) for line in lines)
    assert_consistent(report)
    assert report["skipped"] >= 30
    assert report["longest_gap_ms"] >= 400
    assert report["releases"] == 250
    assert [window["window"] for window in windows] == [0, 1, 2]
    assert [window["releases"] for window in windows] == [100, 100, 50]
    for name in ("missed", "skipped"):
        assert sum(window[name] for window in windows) == report[name]
    assert max(window["response_max_ms"] for window in windows) == report["response"]["max"]
    assert windows[1]["skipped"] >= 30
    assert all(window["rss_bytes"] > 0 for window in windows)


def test_a_second_without_a_release_has_its_line_when_it_begins(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    with streaming(edge_runner, program, *COLD, *schedule(0.5, 2.1, 100)) as process:
        assert process.stdout is not None
        first, first_at = json.loads(process.stdout.readline()), time.monotonic()
        second, second_at = json.loads(process.stdout.readline()), time.monotonic()
        third, report = (json.loads(line) for line in process.stdout)
    assert [window["releases"] for window in (first, second, third)] == [1, 0, 1]
    assert second["response_p50_ms"] is None
    assert second["response_max_ms"] is None
    assert 0.7 < second_at - first_at < 1.6
    assert report["releases"] == 2


def streaming(runner: Path, program: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([runner, "periodic", program, "--stream", *words], stdout=subprocess.PIPE, text=True)


def test_percentiles_need_their_releases(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "periodic", program, "--json", *COLD, *schedule(2000, 1, 100)).report
    assert_consistent(report)
    assert report["response"]["p99"] is not None


def test_a_single_release_has_no_jitter(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "periodic", program, "--json", *COLD, *schedule(0.01, 0.1, 100)).report
    assert (report["releases"], report["jitter_ms"]) == (1, None)
    assert report["longest_gap_ms"] == pytest.approx(report["response"]["max"])


def test_the_summary_without_json_has_the_misses(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "periodic", program, *COLD, *schedule(100, 0.2, 1e-6))
    assert outcome.code == 0
    assert outcome.out.startswith("20 releases, 20 missed, ")


def test_a_program_that_fails_ends_the_run(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "out_of_range.npy", np.array([[3, 2, 4]]))
    outcome = run_command(edge_runner, "periodic", programs.embedding_program(program_directory), "--stream",
                          "--warmup-seconds", "0", "--warmup-runs", "0", *schedule(10, 1, 10),
                          "--input", tmp_path / "out_of_range.npy")  # fmt: skip
    assert outcome.code == 13
    assert outcome.report["error"]["code"] == "execution_failed"


def test_the_memory_limit_holds_here_too(edge_runner: Path, program_directory: Path) -> None:
    program = programs.large_program(program_directory)
    for limit, code in (("40000000", 16), ("70000000", 0)):
        words = (*COLD, *schedule(10, 0.2, 100), "--memory-limit", limit)
        assert run_command(edge_runner, "periodic", program, *words).code == code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no --rate"),
        (("--rate", "10", "--seconds", "1"), "no --deadline-ms"),
        (schedule(0.001, 1, 1), "--rate 0.001"),
        (schedule(10_001, 1, 1), "--rate 10001"),
        (schedule(1, 0.05, 1), "--seconds 0.05"),
        (schedule(1, 3601, 1), "--seconds 3601"),
        (schedule(1, 1, 0), "--deadline-ms 0"),
        (schedule(1, 1, -1), "--deadline-ms -1"),
        (schedule(float("nan"), 1, 1), "--rate nan"),
        (schedule(1, float("inf"), 1), "--seconds inf"),
        (schedule(10_000, 105, 1), "1050000 releases"),
        ((*schedule(1, 1, 1), "--runs", "3"), "unknown option --runs"),
    ],
)
def test_a_wrong_schedule_is_usage(
    edge_runner: Path, program_directory: Path, words: tuple[str, ...], said: str
) -> None:
    outcome = run_command(edge_runner, "periodic", programs.small_cnn_program(program_directory), *words)
    assert outcome.code == 2
    assert outcome.err.startswith("edge-runner: usage: ")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
