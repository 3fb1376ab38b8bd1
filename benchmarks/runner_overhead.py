# SPDX-License-Identifier: Apache-2.0
"""`edge-runner bench` against a bare C++ loop over `extension::Module` on the same program.

A round is a fresh process of each, loaded and warm, whose short blocks take turns, in an order that turns too: whatever
slows the machine slows both sides of a pair of blocks. A round's ratio is the median over its pairs of p50 by p50, so
that one process lucky with its memory is one round and no more; the ratio is the median over the rounds, with a
bootstrap interval over them. Rounds are added until that interval lies on one side of the bar, or there are enough.
Last line: the ratio, its interval, and whether it meets the bar: only an interval wholly below does.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from runner_files import ROOT, find_runner, make_program

BAR = 1.02
RESAMPLES = 10_000
COVERAGE = 0.95
BATCH = 30
"""Rounds before the interval is looked at, and looked at again: seldom, since each look is another chance to stop."""


@dataclass(frozen=True, slots=True)
class Pair:
    """p50 in ms of blocks next to each other: the runner, `Module::execute`, and the method inside it."""

    runner: float
    module: float
    method: float


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Protocol:
    """`pairs` of blocks of `runs` each in a round."""

    pairs: int
    runs: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", type=Path, help="a .pte with float32 inputs (default: a small conv net)")
    parser.add_argument("--rounds", type=int, default=90, help="at most so many")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    protocol = Protocol(arguments.pairs, arguments.runs)
    rounds: list[list[Pair]] = []
    with tempfile.TemporaryDirectory() as temporary:
        program = arguments.program or make_program("conv_net_program", Path(temporary))
        bare_loop = build_bare_loop(Path(temporary) / "build")
        while len(rounds) < arguments.rounds and not resolved(rounds):
            rounds += [
                measure_round(find_runner(), bare_loop, program, protocol)
                for _ in range(min(BATCH, arguments.rounds - len(rounds)))
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


class Timed:
    """A process that times a block when it is sent a line."""

    def __init__(self, stack: ExitStack, command: Sequence[str | Path]) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._process = stack.enter_context(process)
        stack.callback(self._process.kill)
        self._read()

    def ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            assert self._process.stderr is not None
            sys.exit(f"{self._process.args!r} ended instead of answering:\n{self._process.stderr.read()}")
        return answer


def measure_round(runner: str, bare_loop: Path, program: Path, protocol: Protocol) -> list[Pair]:
    runs, warmup = str(protocol.runs), str(2 * protocol.runs)
    paced = ["--paced", "--warmup-runs", warmup, "--warmup-seconds", "0", "--block-runs", runs, "--block-seconds", "0"]
    with ExitStack() as stack:
        bench = Timed(stack, [runner, "bench", program, *paced])
        bare = Timed(stack, [bare_loop, program, warmup, runs])
        sides: dict[str, Callable[[], float]] = {
            "runner": lambda: statistics.median(json.loads(bench.ask("block"))["samples"]),
            "method": lambda: statistics.median(map(float, bare.ask("method").split())),
            "module": lambda: statistics.median(map(float, bare.ask("module").split())),
        }
        return [measure_pair(sides, turn) for turn in range(protocol.pairs)]


def measure_pair(sides: dict[str, Callable[[], float]], turn: int) -> Pair:
    """The runner and the method are neighbours in each turn, and each goes first as often."""
    order = ["runner", "method"] if turn % 2 == 0 else ["method", "runner"]
    p50 = {name: sides[name]() for name in [*order, "module"]}
    return Pair(**p50)


def ratio_of(pairs: Sequence[Pair]) -> float:
    return statistics.median(pair.runner / pair.method for pair in pairs)


def bootstrap(ratios: Sequence[float]) -> Interval:
    """Of their median; the same ratios give the same interval."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    beyond = round(RESAMPLES * (1 - COVERAGE) / 2)
    return Interval(medians[beyond], medians[-1 - beyond])


def resolved(rounds: Sequence[Sequence[Pair]]) -> bool:
    if not rounds:
        return False
    interval = bootstrap([ratio_of(pairs) for pairs in rounds])
    return interval.high <= BAR or interval.low > BAR


def verdict(interval: Interval) -> str:
    if interval.high <= BAR:
        return f"meets the bar of {BAR}"
    if interval.low > BAR:
        return f"falls short of the bar of {BAR}"
    return f"falls short of showing the bar of {BAR}: the interval holds it"


def report(rounds: Sequence[Sequence[Pair]]) -> int:
    everything = [pair for pairs in rounds for pair in pairs]
    ratios = [ratio_of(pairs) for pairs in rounds]
    runner = statistics.median(pair.runner for pair in everything)
    module = statistics.median(pair.module for pair in everything)
    method = statistics.median(pair.method for pair in everything)
    copying = statistics.median(pair.runner / pair.module for pair in everything)
    print(f"p50 over {len(rounds)} rounds of {len(rounds[0])} pairs: edge-runner {runner:.4f} ms")
    print(f"bare loop: {module:.4f} ms around Module::execute, {method:.4f} ms around the method inside it")
    print(f"ratio to Module::execute, which also copies inputs: {copying:.3f}")
    print(f"ratio of single rounds: {min(ratios):.3f} to {max(ratios):.3f}")
    interval = bootstrap(ratios)
    print(
        f"ratio to the bare loop: {statistics.median(ratios):.4f}, {COVERAGE:.0%} interval {interval.low:.4f} to"
        f" {interval.high:.4f} over {len(rounds)} rounds ({verdict(interval)})"
    )
    return 0 if interval.high <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
