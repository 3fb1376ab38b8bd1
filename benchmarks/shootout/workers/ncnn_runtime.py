# SPDX-License-Identifier: Apache-2.0
"""ncnn on the CPU; float32 stays float32."""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np

from shootout.workers.blocks import Array, Loaded, serve


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_bf16_storage = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(folder / f"{precision}.ncnn.param")) or net.load_model(str(folder / f"{precision}.ncnn.bin")):
        raise SystemExit("ncnn cannot load the model")
    given = ncnn.Mat(item[0]).clone()  # of its own memory: the array may go
    source, target = net.input_names()[0], net.output_names()[0]

    def run() -> Array:
        extractor = net.create_extractor()
        extractor.input(source, given)
        status, output = extractor.extract(target)
        if status != 0:
            raise SystemExit(f"ncnn's extract ended with status {status}")
        return np.asarray(output)

    return Loaded(run=run, answer=lambda: np.array(run()))


if __name__ == "__main__":
    serve(load)
