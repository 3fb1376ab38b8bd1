# SPDX-License-Identifier: Apache-2.0
"""Where the runner may run, how urgently, and how much memory it may take."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.runner_client import run_command, serving

ONCE = ("--json", "--runs", "1", "--warmup-runs", "0", "--warmup-seconds", "0")
PR_CAPBSET_DROP, CAP_SYS_NICE = 24, 23


def allowed_cores(status: str) -> set[int]:
    (line,) = (line for line in status.splitlines() if line.startswith("Cpus_allowed_list:"))
    spans = [span.split("-") for span in line.split()[1].split(",")]
    return {core for span in spans for core in range(int(span[0]), int(span[-1]) + 1)}


def test_every_thread_is_bound_to_the_cores_and_has_the_priority(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    core = max(os.sched_getaffinity(0))
    program = programs.small_cnn_program(program_directory)
    with serving(edge_runner, program, tmp_path / "s", "--cpus", str(core), "--nice", "7", "--threads", "3") as process:
        tasks = list(Path(f"/proc/{process.pid}/task").iterdir())
        assert len(tasks) >= 2
        for task in tasks:
            assert allowed_cores((task / "status").read_text()) == {core}
            assert (task / "stat").read_text().rpartition(")")[2].split()[16] == "7"


def test_the_report_says_which_cores_and_threads_follow_them(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    first = min(os.sched_getaffinity(0))
    report = run_command(edge_runner, "bench", program, *ONCE, "--cpus", str(first)).report
    assert (report["cpus"], report["threads"]) == ([first], 1)
    assert run_command(edge_runner, "bench", program, *ONCE).report["cpus"] == sorted(os.sched_getaffinity(0))


def test_a_caller_bound_to_one_core_may_give_another(edge_runner: Path, program_directory: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    program = programs.small_cnn_program(program_directory)
    done = subprocess.run(
        [edge_runner, "bench", program, *ONCE, "--cpus", f"{cores[0]}-{cores[-1]}"],
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {cores[0]}),
    )
    assert f'"cpus": {cores}'.encode() in done.stdout


@pytest.mark.parametrize("mode", ["bench", "run", "serve"])
@pytest.mark.parametrize("cores", ["1023", "0-1023", "4096", "0,18446744073709551615"])
def test_a_core_that_is_not_there_is_usage_and_names_those_that_are(
    edge_runner: Path, program_directory: Path, mode: str, cores: str
) -> None:
    outcome = run_command(edge_runner, mode, programs.small_cnn_program(program_directory), "--cpus", cores)
    assert outcome.code == 2
    assert f"expected some of {','.join(map(str, sorted(os.sched_getaffinity(0))))};" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("cores", ["", ",", "0,", "-1", "0-", "1-0", "x", "0x1", "0 1", "99999999999999999999999"])
def test_what_is_no_list_of_cores_is_usage(edge_runner: Path, program_directory: Path, cores: str) -> None:
    outcome = run_command(edge_runner, "bench", programs.small_cnn_program(program_directory), "--cpus", cores)
    assert outcome.code == 2
    assert "expected a list of cores such as 0,2-3" in outcome.err


@pytest.mark.parametrize("nice", ["-21", "20", "1.5", "", "low"])
def test_what_is_no_priority_is_usage(edge_runner: Path, program_directory: Path, nice: str) -> None:
    outcome = run_command(edge_runner, "bench", programs.small_cnn_program(program_directory), "--nice", nice)
    assert outcome.code == 2
    assert "expected a number from -20 to 19" in outcome.err


def test_a_priority_that_is_not_permitted_is_io(edge_runner: Path, program_directory: Path) -> None:
    libc = ctypes.CDLL(None)
    done = subprocess.run(
        [edge_runner, "bench", programs.small_cnn_program(program_directory), *ONCE, "--nice", "-5"],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: libc.prctl(PR_CAPBSET_DROP, CAP_SYS_NICE),
    )
    assert done.returncode == 15
    assert done.stderr.startswith("edge-runner: io: --nice -5: Permission denied; ")
