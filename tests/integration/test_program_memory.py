# SPDX-License-Identifier: Apache-2.0
"""The estimate of a program's memory is near what edge-runner then takes at its peak."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edgectl.lower.program_memory import RUNNER_BYTES, program_memory

from tests import programs

RUNNER = Path(sys.prefix, "bin", "edge-runner")


@pytest.mark.parametrize(
    "build",
    [
        programs.small_cnn_program,
        programs.conv_net_program,
        programs.large_program,
        programs.large_plan_program,
        programs.layered_program,
        programs.portable_program,
    ],
)
def test_estimated_peak_is_within_ten_percent_of_the_measured_one(
    build: Callable[[Path], Path], program_directory: Path
) -> None:
    program = build(program_directory)
    command = [str(RUNNER), "bench", str(program), "--runs", "3", "--threads", "1", "--warmup-runs", "1", "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measured = json.loads(answer)["memory"]["peak_rss_bytes"]
    assert program_memory(program.read_bytes()).peak_bytes == pytest.approx(measured, rel=0.1)


def test_weights_are_counted_twice_and_the_plan_once(program_directory: Path) -> None:
    large = program_memory(programs.large_program(program_directory).read_bytes())
    assert large.packed_bytes > 58_000_000
    assert large.peak_bytes == large.load_bytes > RUNNER_BYTES + 2 * large.packed_bytes
    planned = program_memory(programs.large_plan_program(program_directory).read_bytes())
    assert planned.planned_bytes > 60_000_000
    assert planned.packed_bytes == planned.workspace_bytes == 0
    assert planned.dtypes == ("float32",)
