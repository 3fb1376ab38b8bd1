# SPDX-License-Identifier: Apache-2.0
"""LiteRT's interpreter with its XNNPACK delegate, as it comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from shootout.workers.blocks import Array, Loaded, serve

IMAGE_RANK = 4


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    interpreter = Interpreter(str(folder / f"{precision}.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    given = np.ascontiguousarray(item.transpose(0, 2, 3, 1)) if item.ndim == IMAGE_RANK else item
    return Loaded(
        run=interpreter.invoke,
        answer=lambda: np.array(interpreter.get_tensor(target)),
        prepare=lambda: interpreter.set_tensor(source, given),
    )


if __name__ == "__main__":
    serve(load)
