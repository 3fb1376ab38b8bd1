# SPDX-License-Identifier: Apache-2.0
"""LiteRT's interpreter with its XNNPACK delegate, as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from shootout.workers.blocks import Array, Loaded, serve

IMAGE_RANK = 4


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    interpreter = Interpreter(str(folder / f"{precision}.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    ordered = np.ascontiguousarray(item.transpose(0, 2, 3, 1)) if item.ndim == IMAGE_RANK else item
    given = _quantized(ordered, source) if source["dtype"] == np.int8 else ordered

    def answer() -> Array:
        output = interpreter.get_tensor(target["index"])
        scale, zero = target["quantization"]
        return np.array((output.astype(np.float32) - zero) * scale if target["dtype"] == np.int8 else output)

    return Loaded(run=interpreter.invoke, answer=answer, prepare=lambda: interpreter.set_tensor(source["index"], given))


def _quantized(item: Array, details: dict[str, Any]) -> np.typing.NDArray[np.int8]:
    scale, zero = details["quantization"]
    quantized: np.typing.NDArray[np.int8] = np.clip(np.round(item / scale) + zero, -128, 127).astype(np.int8)
    return quantized


if __name__ == "__main__":
    serve(load)
