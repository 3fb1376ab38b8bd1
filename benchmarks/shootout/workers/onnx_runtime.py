# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on its CPU provider, every graph optimization on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from shootout.workers.blocks import Array, Loaded, serve


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / f"{precision}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: item}
    return Loaded(run=lambda: session.run(None, feed), answer=lambda: np.asarray(session.run(None, feed)[0]))


if __name__ == "__main__":
    serve(load)
