# SPDX-License-Identifier: Apache-2.0
"""ExecuTorch's Python binding, on the very program that edge-runner runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from executorch.extension.pybindings import portable_lib

from shootout.workers.blocks import Array, Loaded, serve


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    portable_lib._unsafe_reset_threadpool(threads)  # noqa: SLF001 - the only switch there is
    if portable_lib._threadpool_get_thread_count() != threads:  # noqa: SLF001
        raise SystemExit(f"ExecuTorch's Python binding does not keep to {threads} threads")
    program = portable_lib._load_for_executorch(str(folder / f"{precision}.pte"))  # noqa: SLF001
    inputs = [torch.from_numpy(item)]
    return Loaded(run=lambda: program.forward(inputs), answer=lambda: np.array(program.forward(inputs)[0].numpy()))


if __name__ == "__main__":
    serve(load)
