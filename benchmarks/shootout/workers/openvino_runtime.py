# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on its CPU plug-in: one stream, tuned for latency, and float32 where it would take bfloat16 by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from openvino import properties

from shootout.workers.blocks import Array, Loaded, serve


def load(folder: Path, precision: str, threads: int, item: Array) -> Loaded:
    settings = {
        properties.hint.performance_mode: properties.hint.PerformanceMode.LATENCY,
        properties.hint.inference_precision: openvino.Type.f32,
        properties.inference_num_threads: threads,
        properties.num_streams: 1,
    }
    compiled = openvino.Core().compile_model(folder / f"{precision}.xml", "CPU", settings)
    if compiled.get_property(properties.hint.inference_precision) != openvino.Type.f32:
        raise SystemExit("OpenVINO does not keep to float32")
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(item))
    return Loaded(run=request.infer, answer=lambda: np.array(request.get_output_tensor().data))


if __name__ == "__main__":
    serve(load)
