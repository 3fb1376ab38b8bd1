# SPDX-License-Identifier: Apache-2.0
"""Where the runner may run, how urgently, and how much memory it may take."""

from __future__ import annotations

import ctypes
import os
import random
import re
import resource
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests import programs
from tests.runner_client import (
    ERROR,
    INFER,
    RESULT,
    Outcome,
    connected,
    read_answer,
    request,
    run_command,
    serving,
    tensors_payload,
)

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


def assert_out_of_memory(outcome: Outcome, limit: int) -> None:
    assert outcome.code == 16, outcome
    said = re.fullmatch(
        r"edge-runner: out_of_memory: out of memory at (\d+) MB; expected at most ([\d.]+) MB, its limit; .*\n",
        outcome.err,
    )
    assert said is not None, outcome.err
    error = outcome.report["error"]
    assert error["code"] == "out_of_memory"
    assert outcome.err == f"edge-runner: out_of_memory: {error['message']}\n"
    assert int(said[1]) == round(error["peak_rss_bytes"] / 1e6)
    assert float(said[2]) == pytest.approx(limit / 1e6, abs=0.1)


@pytest.mark.parametrize("mode", ["bench", "run", "serve", "profile"])
@pytest.mark.parametrize("limit", [1, 1_000, 1_000_000, 16_000_000, 40_000_000, 55_000_000])
def test_a_program_that_needs_more_ends_out_of_memory(
    edge_runner: Path, program_directory: Path, tmp_path: Path, mode: str, limit: int
) -> None:
    program = programs.large_program(program_directory)
    wanted: dict[str, tuple[str | Path, ...]] = {
        "run": ("--input", *programs.golden_inputs(program)),
        "serve": ("--socket", tmp_path / "s"),
    }
    words: tuple[str | Path, ...] = (mode, program, "--json", "--memory-limit", str(limit), *wanted.get(mode, ()))
    assert_out_of_memory(run_command(edge_runner, *words), limit)


def test_what_a_program_holds_is_what_its_limit_has_to_be(edge_runner: Path, program_directory: Path) -> None:
    program = programs.large_program(program_directory)
    free = run_command(edge_runner, "bench", program, *ONCE).report["memory"]
    weights = 4 * (3 * 2048 * 2048 + 2048 * 1024)
    assert free["load_anon_bytes"] == pytest.approx(weights, rel=0.05)
    enough = int(1.02 * free["load_anon_bytes"])
    assert run_command(edge_runner, "bench", program, *ONCE, "--memory-limit", str(enough)).code == 0
    short = int(0.98 * free["load_anon_bytes"])
    assert_out_of_memory(run_command(edge_runner, "bench", program, *ONCE, "--memory-limit", str(short)), short)


def test_planned_memory_counts(edge_runner: Path, program_directory: Path) -> None:
    program = programs.large_plan_program(program_directory)
    words: tuple[str | Path, ...] = (
        "run",
        program,
        "--json",
        "--input",
        *programs.golden_inputs(program),
        "--memory-limit",
    )
    assert_out_of_memory(run_command(edge_runner, *words, "32000000"), 32_000_000)
    assert run_command(edge_runner, *words, "80000000").code == 0


@pytest.mark.parametrize("name", ["small_cnn", "conv_net", "layered", "embedding", "counting"])
def test_whatever_the_limit_it_works_or_ends_out_of_memory(
    edge_runner: Path, program_directory: Path, tmp_path: Path, name: str
) -> None:
    program = getattr(programs, f"{name}_program")(program_directory)
    words = ("--json", "--runs", "3", "--warmup-runs", "2", "--threads", "2")
    rng = random.Random(name)
    codes = set()
    for mode, *more in (("bench", "--warmup-seconds", "0"), ("profile", "--etdump", str(tmp_path / "dump"))):
        for limit in [rng.randrange(1, 4_000_000) for _ in range(12)] + [rng.randrange(1, 600_000) for _ in range(12)]:
            outcome = run_command(edge_runner, mode, program, *words, *more, "--memory-limit", str(limit), timeout=20)
            if outcome.code:
                assert_out_of_memory(outcome, limit)
            codes.add(outcome.code)
    assert codes == {0, 16}


def test_room_for_samples_is_not_held_against_the_program(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "bench", program, *ONCE, "--memory-limit", "1000000", "--threads", "1",
                         "--runs", "400000").report  # fmt: skip
    assert report["blocks"] == [400_000]


def test_a_request_that_needs_more_ends_a_serving_runner(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.conv_net_program(program_directory)
    loads = run_command(edge_runner, "bench", program, *ONCE).report["memory"]["load_anon_bytes"]
    with serving(edge_runner, program, tmp_path / "s", "--memory-limit", str(loads + 300_000)) as process:
        with connected(tmp_path / "s") as client:
            client.sendall(request(INFER, tensors_payload([np.zeros((1, 3, 64, 64), np.float32)])))
            assert client.recv(1) == b""
        assert process.wait(20) == 16
        assert process.stderr is not None
        assert process.stderr.read().startswith("edge-runner: out_of_memory: ")


def test_under_the_tightest_limit_a_failed_request_does_not_end_a_serving_runner(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.embedding_program(program_directory)
    inputs = programs.golden_inputs(program)
    tightest = next(
        limit
        for limit in range(200_000, 2_000_000, 10_000)
        if run_command(edge_runner, "run", program, "--memory-limit", str(limit), "--input", *inputs).code == 0
    )
    with serving(edge_runner, program, tmp_path / "s", "--memory-limit", str(tightest + 20_000)) as process:
        with connected(tmp_path / "s") as client:
            for index, kind in ((9, ERROR), (1, RESULT), (9, ERROR), (1, RESULT)):
                client.sendall(request(INFER, tensors_payload([np.array([[0, 1, index]])])))
                assert read_answer(client).kind == kind
        assert process.poll() is None


def test_under_a_limit_any_other_crash_stays_the_signal_it_is(
    edge_runner: Path, program_directory: Path, tmp_path: Path
) -> None:
    program = programs.small_cnn_program(program_directory)
    for number in (signal.SIGSEGV, signal.SIGABRT):
        with serving(edge_runner, program, tmp_path / "s", "--memory-limit", "50000000") as process:
            process.send_signal(number)
            assert process.wait(20) == -number
        (tmp_path / "s").unlink()


def test_under_a_limit_a_bad_program_is_still_one(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pte").write_text("not a program, but long enough to hold a header " * 10)
    limited = ("--memory-limit", "50000000")
    assert run_command(edge_runner, "bench", tmp_path / "text.pte", *ONCE, *limited).code == 10
    assert run_command(edge_runner, "bench", programs.missing_kernel_program(program_directory), *limited).code == 12


def test_a_machine_without_memory_is_out_of_memory_too(edge_runner: Path, program_directory: Path) -> None:
    done = subprocess.run(
        [edge_runner, "bench", programs.small_cnn_program(program_directory), *ONCE],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (4_000_000, 4_000_000)),
    )
    assert done.returncode == 16
    assert re.match(r"edge-runner: out_of_memory: out of memory at \d+ MB; expected enough ", done.stderr)


@pytest.mark.parametrize("limit", ["0", "-1", "1MB", "1.5", "", str(2**50 + 1)])
def test_what_is_no_limit_is_usage(edge_runner: Path, program_directory: Path, limit: str) -> None:
    outcome = run_command(edge_runner, "bench", programs.small_cnn_program(program_directory), "--memory-limit", limit)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
