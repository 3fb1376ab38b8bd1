# SPDX-License-Identifier: Apache-2.0
"""From starting a process to its first result, and what it then holds: edge-runner against ExecuTorch's Python binding.

Both run the same program on zeros, in alternation. Last line: the two ratios of the medians.
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

from runner_files import describe, find_runner, make_program, zero_inputs

BINDING = """
import sys, torch
from executorch.extension.pybindings.portable_lib import _load_for_executorch
program = _load_for_executorch(sys.argv[1])
shapes = [program.method_meta("forward").input_tensor_meta(i).sizes() for i in range(len(sys.argv) - 2)]
program.forward([torch.zeros(shape) for shape in shapes])
held = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(int(held.split()[1]) * 1024)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", type=Path, help="a .pte with float32 inputs (default: a small CNN)")
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    runner = find_runner()
    with tempfile.TemporaryDirectory() as temporary:
        program = arguments.program or make_program("small_cnn_program", Path(temporary))
        inputs = zero_inputs(describe(runner, program), Path(temporary))
        native, binding, held = [], [], []
        for _ in range(arguments.starts):
            native.append(timed([runner, "run", program, "--raw", "--json", "--input", *inputs])[0])
            wall, said = timed([sys.executable, "-c", BINDING, program, *inputs])
            binding.append(wall)
            held.append(int(said))
        bench = timed([runner, "bench", program, "--json", "--runs", "1"])[1]
    native_held = json.loads(bench)["memory"]["load_rss_bytes"]
    return report(native, binding, native_held=native_held, binding_held=statistics.median(held))


def timed(command: list[str | Path]) -> tuple[float, str]:
    """Milliseconds from start to end, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return (time.perf_counter() - begin) * 1e3, done.stdout


def report(native: list[float], binding: list[float], *, native_held: int, binding_held: float) -> int:
    ours, theirs = statistics.median(native), statistics.median(binding)
    runs = len(native)
    print(f"edge-runner: median {ours:.1f} ms of {runs} starts, {native_held / 1e6:.1f} MB after load")
    spread = f"{min(binding):.0f} to {max(binding):.0f}"
    print(f"Python binding: median {theirs:.0f} ms ({spread}), {binding_held / 1e6:.0f} MB")
    faster, less = theirs / ours, binding_held / native_held
    print(f"start to first result {faster:.0f}x faster, {less:.0f}x less resident memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
