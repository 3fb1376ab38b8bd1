# SPDX-License-Identifier: Apache-2.0
"""How long `edgectl --help` takes, over ten runs. Budget: 0.3 s. The last line is the median in seconds."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 10


def one_run() -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "import sys; from edgectl.cli.main import run; sys.exit(run(['--help'], environ={}))"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def main() -> None:
    one_run()  # the byte code is written by the first
    seconds = [one_run() for _ in range(RUNS)]
    print(f"runs {RUNS}  min {min(seconds):.3f} s  max {max(seconds):.3f} s")
    print(f"{statistics.median(seconds):.3f}")


if __name__ == "__main__":
    main()
