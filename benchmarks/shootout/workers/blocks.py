# SPDX-License-Identifier: Apache-2.0
"""What every worker does: load once, answer once for the check, warm up, then a block of timed runs on each command.

Runs inside a peer's own environment, so it needs the standard library and numpy alone.

Lines on standard output: `{"ready": true}` once warm; for each line `block SECONDS` on standard input
`{"samples": [ms, ...]}`. The end of the input, or `end`, ends it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

FEWEST_RUNS = 5
UNTIMED_RUNS = 3
WARMUP_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Loaded:
    """`run` is what is timed: one inference. `prepare` sets the inputs before it where a runtime copies them, untimed,
    as in edge-runner; `answer` is the output of the last run."""

    run: Callable[[], object]
    answer: Callable[[], Array]
    prepare: Callable[[], object] = lambda: None


Load = Callable[[Path, str, int, Array], Loaded]
"""Folder of converted files, precision, threads and input -> the model, ready to run."""


def serve(load: Load) -> None:
    arguments = _arguments()
    loaded = load(arguments.folder, arguments.precision, arguments.threads, np.load(arguments.input))
    loaded.prepare()
    loaded.run()
    np.save(arguments.answer, np.asarray(loaded.answer(), dtype=np.float32))
    samples_of(loaded, seconds=WARMUP_SECONDS)
    _say({"ready": True})
    for line in sys.stdin:
        command, _, seconds = line.strip().partition(" ")
        if command == "end":
            return
        if command != "block":
            sys.exit(f"unknown command {line.strip()!r}; expected: block SECONDS, or end")
        _say({"samples": samples_of(loaded, seconds=float(seconds))})


def samples_of(loaded: Loaded, *, seconds: float) -> list[float]:
    """Milliseconds of each run of a block of at least `seconds` and `FEWEST_RUNS`, after `UNTIMED_RUNS` more."""
    prepare, run = loaded.prepare, loaded.run
    for _ in range(UNTIMED_RUNS):
        prepare()
        run()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < FEWEST_RUNS or time.perf_counter() < end:
        prepare()
        begin = time.perf_counter_ns()
        run()
        samples.append((time.perf_counter_ns() - begin) / 1e6)
    return samples


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("precision", choices=("fp32", "int8"))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--input", type=Path, required=True, help=".npy, float32 [1, ...]")
    parser.add_argument("--answer", type=Path, required=True, help=".npy to write the output of that input to")
    return parser.parse_args()
