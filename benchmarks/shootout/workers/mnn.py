# SPDX-License-Identifier: Apache-2.0
"""MNN on its CPU backend, in high precision: float32 stays float32."""

from __future__ import annotations

from pathlib import Path

import MNN
import numpy as np

from shootout.workers.blocks import Array, Loaded, serve


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    interpreter = MNN.Interpreter(str(folder / f"{precision}.mnn"))
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "high"})
    source = interpreter.getSessionInput(session)
    interpreter.resizeTensor(source, item.shape)
    interpreter.resizeSession(session)
    given = MNN.Tensor(item.shape, MNN.Halide_Type_Float, np.ascontiguousarray(item), MNN.Tensor_DimensionType_Caffe)

    def answer() -> Array:
        target = interpreter.getSessionOutput(session)
        empty = np.zeros(target.getShape(), np.float32)
        copy = MNN.Tensor(target.getShape(), MNN.Halide_Type_Float, empty, MNN.Tensor_DimensionType_Caffe)
        target.copyToHostTensor(copy)
        return np.array(copy.getNumpyData())

    return Loaded(run=lambda: interpreter.runSession(session), answer=answer, prepare=lambda: source.copyFrom(given))


if __name__ == "__main__":
    serve(load)
