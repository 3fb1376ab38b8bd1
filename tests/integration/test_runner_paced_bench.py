# SPDX-License-Identifier: Apache-2.0
"""`edge-runner bench --paced`: blocks run when told to, and what came before them is over."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import programs
from tests.runner_client import run_command

SHORT = ("--warmup-seconds", "0", "--warmup-runs", "5", "--block-runs", "20", "--block-seconds", "0")


class Paced:
    """A process that has said that it is ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ready = self.answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, command: str) -> dict[str, Any]:
        self.send(command + "\n")
        return self.answer()

    def close_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> int:
        """The exit code, once nothing more was printed."""
        assert self._process.stdout is not None
        assert self._process.stdout.read() == ""
        return self._process.wait(30)


@contextmanager
def paced(runner: Path, program: Path, *words: str) -> Iterator[Paced]:
    command: list[str | Path] = [runner, "bench", program, "--paced", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Paced(process)
        finally:
            process.kill()


def test_each_command_is_one_block_and_the_report_holds_them_all(edge_runner: Path, program_directory: Path) -> None:
    with paced(edge_runner, programs.small_cnn_program(program_directory), *SHORT) as bench:
        assert bench.ready["ready"] is True
        assert bench.ready["load_ms"] > 0
        assert bench.ready["warmup_runs"] == 5
        blocks = [bench.ask("block") for _ in range(3)]
        report = bench.ask("end")
        assert bench.end() == 0
    assert [block["block"] for block in blocks] == [0, 1, 2]
    assert [len(block["samples"]) for block in blocks] == report["blocks"] == [20, 20, 20]
    assert all(block["rss_bytes"] > 0 for block in blocks)
    assert "samples" not in report
    everything = [sample for block in blocks for sample in block["samples"]]
    assert report["p90"] == pytest.approx(np.quantile(everything, 0.9))
    for name in ("warmup_runs", "warmup_seconds", "warmup_stable", "load_ms"):
        assert report[name] == bench.ready[name]


def test_nothing_runs_between_commands(edge_runner: Path, program_directory: Path) -> None:
    def cpu_ticks(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    with paced(edge_runner, programs.small_cnn_program(program_directory), *SHORT) as bench:
        bench.ask("block")
        before = cpu_ticks(bench.pid)
        time.sleep(0.5)
        assert cpu_ticks(bench.pid) - before <= 5
        assert bench.ask("block")["block"] == 1


def test_the_input_may_simply_end(edge_runner: Path, program_directory: Path) -> None:
    with paced(edge_runner, programs.small_cnn_program(program_directory), *SHORT) as bench:
        bench.send("block\nblock")
        bench.close_input()
        assert [bench.answer()["block"], bench.answer()["block"]] == [0, 1]
        assert bench.answer()["blocks"] == [20, 20]
        assert bench.end() == 0


def test_no_block_at_all_is_a_report_without_figures(edge_runner: Path, program_directory: Path) -> None:
    with paced(edge_runner, programs.small_cnn_program(program_directory), *SHORT) as bench:
        report = bench.ask("end")
        assert (report["blocks"], report["p50"]) == ([], None)
        assert bench.end() == 0


def test_a_block_lasts_both_its_runs_and_its_seconds(edge_runner: Path, program_directory: Path) -> None:
    with paced(
        edge_runner, programs.conv_net_program(program_directory), *SHORT[:-1], "0.2", "--block-warmup-runs", "0"
    ) as bench:
        samples = bench.ask("block")["samples"]
        assert len(samples) > 20
        assert sum(samples) <= 200 + max(samples)


def test_a_very_short_run_leaves_room_for_later_blocks(edge_runner: Path, program_directory: Path) -> None:
    with paced(edge_runner, programs.small_cnn_program(program_directory), *SHORT[:-1], "5", "--threads", "1") as bench:
        for _ in range(3):
            assert len(bench.ask("block")["samples"]) == 2**20 // 64


@pytest.mark.parametrize(
    "line", ["", "blok", "block ", "BLOCK", "block\r", "end\0", "x" * 100_000, "\x1b[2J", "\udcff"], ids=ascii
)
def test_another_command_is_usage_and_ends_it(edge_runner: Path, program_directory: Path, line: str) -> None:
    program = programs.small_cnn_program(program_directory)
    done = subprocess.run(
        [edge_runner, "bench", program, "--paced", *SHORT],
        input=("block\n" + line + "\nblock\n").encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"edge-runner: usage: the command ")
    assert done.stderr.count(b"\n") == 1
    assert b"\x1b" not in done.stderr
    ready, block, error = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["ready"] is True
    assert block["block"] == 0
    assert error["error"]["code"] == "usage"


def test_more_runs_than_there_is_memory_for_are_refused(edge_runner: Path, program_directory: Path) -> None:
    with paced(edge_runner, programs.small_cnn_program(program_directory), *SHORT[:-3], "600000", *SHORT[-2:]) as bench:
        assert len(bench.ask("block")["samples"]) == 600_000
        assert "1048576" in bench.ask("block")["error"]["message"]
        assert bench.end() == 2


@pytest.mark.parametrize("option", ["--blocks", "--runs"])
def test_commands_and_a_number_of_blocks_exclude_each_other(
    edge_runner: Path, program_directory: Path, option: str
) -> None:
    program = programs.small_cnn_program(program_directory)
    outcome = run_command(edge_runner, "bench", program, "--paced", option, "3")
    assert outcome.code == 2
    assert f"--paced and {option}" in outcome.err
    assert outcome.report["error"]["code"] == "usage"


def test_a_closed_standard_input_is_io(edge_runner: Path, program_directory: Path, tmp_path: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    with (tmp_path / "write_only").open("wb") as unreadable:
        done = subprocess.run(
            [edge_runner, "bench", program, "--paced", *SHORT], stdin=unreadable, capture_output=True, check=False
        )
    assert done.returncode == 15
    assert done.stderr.startswith(b"edge-runner: io: standard input")


def test_runs_at_the_start_of_a_block_are_not_among_its_samples(edge_runner: Path, program_directory: Path) -> None:
    program = programs.conv_net_program(program_directory)
    once = (*SHORT[:4], "--block-runs", "1", "--block-seconds", "0")
    with paced(edge_runner, program, *once, "--block-warmup-runs", "2000") as bench:
        begin = time.monotonic()
        (sample,) = bench.ask("block")["samples"]
        assert (time.monotonic() - begin) * 1e3 > 500 * sample
    with paced(edge_runner, program, *once, "--block-warmup-runs", "0") as bench:
        begin = time.monotonic()
        (sample,) = bench.ask("block")["samples"]
        assert (time.monotonic() - begin) * 1e3 < 500 * sample


def test_warm_up_waits_until_two_windows_agree(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    words = ("bench", program, "--json", "--runs", "1", "--warmup-seconds", "0", "--warmup-runs", "1")
    waited = run_command(edge_runner, *words, "--warmup-change", "1").report
    assert waited["warmup_runs"] >= 10
    assert waited["warmup_runs"] % 5 == 0
    assert waited["warmup_stable"] is True
    counted = run_command(edge_runner, *words).report
    assert (counted["warmup_runs"], counted["warmup_stable"]) == (1, False)


def test_warm_up_lasts_its_seconds_however_soon_it_is_stable(edge_runner: Path, program_directory: Path) -> None:
    program = programs.conv_net_program(program_directory)
    report = run_command(edge_runner, "bench", program, "--json", "--runs", "1", "--warmup-seconds", "0.4",
                         "--warmup-change", "1").report  # fmt: skip
    assert report["warmup_stable"] is True
    assert report["warmup_seconds"] >= 0.4


def test_warm_up_ends_at_its_limit_and_says_that_it_was_not_stable(edge_runner: Path, program_directory: Path) -> None:
    program = programs.conv_net_program(program_directory)
    report = run_command(edge_runner, "bench", program, "--json", "--runs", "1", "--warmup-seconds", "60",
                         "--warmup-limit-seconds", "0.3").report  # fmt: skip
    assert report["warmup_stable"] is False
    assert 0.3 <= report["warmup_seconds"] < 5


def test_no_runs_and_no_seconds_are_no_warm_up(edge_runner: Path, program_directory: Path) -> None:
    program = programs.small_cnn_program(program_directory)
    report = run_command(edge_runner, "bench", program, "--json", "--runs", "1", "--warmup-seconds", "0",
                         "--warmup-runs", "0", "--warmup-change", "0.5").report  # fmt: skip
    assert (report["warmup_runs"], report["warmup_seconds"], report["warmup_stable"]) == (0, 0, False)
