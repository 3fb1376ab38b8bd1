# SPDX-License-Identifier: Apache-2.0
"""`edge-runner repeat`, for meters outside the process, and the core that `info` tells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.runner_client import run_command


def _lines(runner: Path, *words: str | Path) -> list[str]:
    done = subprocess.run([str(runner), "repeat", *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("runs", [1, 2, 1000])
def test_marks_are_the_same_bytes_whatever_the_number_of_runs_is(
    edge_runner: Path, program_directory: Path, runs: int
) -> None:
    program = programs.small_cnn_program(program_directory)
    before, after, report = _lines(edge_runner, program, "--runs", str(runs), "--threads", "1")
    assert (before, after) == ('{"ready": true}', '{"done": true}')
    assert report.startswith(
        f'{{"runs": {runs}, "threads": 1, "program_bytes": {program.stat().st_size}, "planned_bytes": '
    )


def test_inputs_are_those_given(edge_runner: Path, program_directory: Path) -> None:
    program = programs.embedding_program(program_directory)
    assert len(_lines(edge_runner, program, "--input", programs.golden_inputs(program)[0])) == 3


@pytest.mark.parametrize(
    ("words", "code"), [(("--runs", "0"), 2), (("--runs", "1048577"), 2), (("--blocks", "2"), 2), (("--nice", "x"), 2)]
)
def test_wrong_words_are_refused_before_the_first_mark(
    edge_runner: Path, program_directory: Path, words: tuple[str, ...], code: int
) -> None:
    outcome = run_command(edge_runner, "repeat", programs.small_cnn_program(program_directory), *words)
    assert outcome.code == code
    assert "ready" not in outcome.out


def test_info_tells_the_core_that_kernels_are_chosen_for(edge_runner: Path) -> None:
    core = run_command(edge_runner, "info", "--json").report["core"]
    assert re.fullmatch(r"0x[0-9a-f]{8}|cortex-a\d\d", core)
