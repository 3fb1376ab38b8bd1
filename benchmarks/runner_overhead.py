# SPDX-License-Identifier: Apache-2.0
"""`edge-runner bench` against a bare C++ loop over `extension::Module` on the same program.

Both run as fresh processes in alternation (ABAB...), so that a machine that slows down slows both; each round yields
one p50 per side, and the ratio is that of the medians over rounds. Last line: the ratio, and whether it meets the bar.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from runner_files import ROOT, find_runner, make_program

BAR = 1.05


@dataclass(frozen=True, slots=True)
class Round:
    """p50 in ms of one round: the runner, `Module::execute`, and the method inside it."""

    runner: float
    module: float
    method: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", type=Path, help="a .pte with float32 inputs (default: a small conv net)")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        program = arguments.program or make_program("conv_net_program", Path(temporary))
        bare_loop = build_bare_loop(Path(temporary) / "build")
        rounds = [
            measure_round(runner=find_runner(), bare_loop=bare_loop, program=program, runs=arguments.runs)
            for _ in range(arguments.rounds)
        ]
    return report(rounds)


def build_bare_loop(build: Path) -> Path:
    spec = find_spec("executorch")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the executorch package is not installed for this Python; install edgectl[compile]")
    cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or "cmake"
    package = next(iter(spec.submodule_search_locations))
    source = ROOT / "benchmarks" / "bare_loop"
    configure: list[str | Path] = [
        cmake,
        "-S",
        source,
        "-B",
        build,
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_PREFIX_PATH={package}",
    ]
    compile_it: list[str | Path] = [cmake, "--build", build]
    for command in (configure, compile_it):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"building the bare loop failed:\n{done.stdout}{done.stderr}")
    return build / "bare_loop"


def measure_round(*, runner: str, bare_loop: Path, program: Path, runs: int) -> Round:
    warmup = str(runs // 4)
    protocol = ["--runs", str(runs), "--warmup-runs", warmup, "--warmup-seconds", "0"]
    bench = subprocess.run([runner, "bench", program, *protocol, "--json"], check=True, capture_output=True)
    bare = subprocess.run([bare_loop, program, warmup, str(runs)], check=True, capture_output=True, text=True)
    module, method = (statistics.median(map(float, line.split())) for line in bare.stdout.splitlines())
    return Round(runner=json.loads(bench.stdout)["p50"], module=module, method=method)


def report(rounds: list[Round]) -> int:
    runner = statistics.median(one.runner for one in rounds)
    module = statistics.median(one.module for one in rounds)
    method = statistics.median(one.method for one in rounds)
    print(f"p50 over {len(rounds)} rounds: edge-runner {runner:.4f} ms")
    print(f"bare loop: {module:.4f} ms around Module::execute, {method:.4f} ms around the method inside it")
    print(f"ratio to Module::execute, which also copies inputs: {runner / module:.3f}")
    ratio = runner / method
    verdict = "meets" if ratio <= BAR else "falls short of"
    print(f"ratio to the bare loop: {ratio:.3f} ({verdict} the bar of {BAR})")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
