# SPDX-License-Identifier: Apache-2.0
"""What edge-runner holds before it loads a program, and how long it takes from being started to its first result.

Times are taken outside: from the start of the process to the end of `edge-runner run`, result written. Last line: the
figures against their bars.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from runner_files import describe, find_runner, make_program, zero_inputs

RESIDENT_BAR_BYTES = 6_000_000
START_BAR_MS = 25.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", type=Path, help="a .pte with float32 inputs (default: a small CNN)")
    parser.add_argument("--starts", type=int, default=20)
    arguments = parser.parse_args()
    runner = find_runner()
    with tempfile.TemporaryDirectory() as temporary:
        program = arguments.program or make_program("small_cnn_program", Path(temporary))
        inputs = zero_inputs(describe(runner, program), Path(temporary))
        command = [runner, "run", program, "--raw", "--json", "--input", *inputs]
        resident = [int(describe(runner, program)["start_rss_bytes"]) for _ in range(arguments.starts)]
        runs = [start_to_end(command) for _ in range(arguments.starts)]
    return report(resident, [wall for wall, _ in runs], [inside for _, inside in runs])


def start_to_end(command: list[Any]) -> tuple[float, float]:
    """ms from starting the process to its end, and from its `main` to its first result."""
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    wall = (time.perf_counter() - begin) * 1e3
    return wall, float(json.loads(done.stdout)["start_to_result_ms"])


def report(resident: list[int], walls: list[float], insides: list[float]) -> int:
    most_resident = max(resident)
    wall = statistics.median(walls)
    print(f"{len(walls)} starts: {min(walls):.1f} to {max(walls):.1f} ms to the end of the process, median {wall:.1f}")
    print(f"from main to the first result: median {statistics.median(insides):.1f} ms")
    met = most_resident <= RESIDENT_BAR_BYTES and wall <= START_BAR_MS
    print(
        f"resident before a program is loaded {most_resident / 1e6:.2f} MB (bar {RESIDENT_BAR_BYTES / 1e6:.0f}), "
        f"start to first result {wall:.1f} ms (bar {START_BAR_MS:.0f}): {'met' if met else 'falls short'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
