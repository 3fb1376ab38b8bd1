# SPDX-License-Identifier: Apache-2.0
"""The runtimes: where each lives, what makes its files and what times it."""

from __future__ import annotations

from dataclasses import dataclass

from shootout.environments import PROJECT, TORCH, Environment


@dataclass(frozen=True, slots=True)
class Peer:
    """`conversion` and `worker` are modules that run inside `environment`; edge-runner is its own worker."""

    name: str
    title: str
    environment: Environment
    conversion: str
    worker: str | None
    needs_onnx: bool = True


EDGE_RUNNER = Peer("edge-runner", "edge-runner", PROJECT, "shootout.programs", None, needs_onnx=False)

PEERS = (
    EDGE_RUNNER,
    Peer("binding", "ET Python", PROJECT, "shootout.programs", "shootout.workers.python_binding", needs_onnx=False),
    Peer(
        "onnxruntime",
        "ONNX Runtime",
        Environment("onnxruntime", ("onnxruntime==1.32.0", "onnx==1.23.2")),
        "shootout.conversions.onnx_runtime",
        "shootout.workers.onnx_runtime",
    ),
    Peer(
        "litert",
        "LiteRT",
        Environment("litert", (TORCH, "ai-edge-litert==2.3.0", "litert-torch==0.10.0")),
        "shootout.conversions.litert",
        "shootout.workers.litert",
        needs_onnx=False,
    ),
    Peer(
        "ncnn",
        "ncnn",
        Environment("ncnn", (TORCH, "ncnn==1.0.20261020", "pnnx==20261020")),
        "shootout.conversions.ncnn_runtime",
        "shootout.workers.ncnn_runtime",
        needs_onnx=False,
    ),
    Peer(
        "mnn",
        "MNN",
        Environment("mnn", ("MNN==3.6.1",)),
        "shootout.conversions.mnn",
        "shootout.workers.mnn",
    ),
    Peer(
        "openvino",
        "OpenVINO",
        Environment("openvino", ("openvino==2026.4.1", "nncf==3.4.0")),
        "shootout.conversions.openvino_runtime",
        "shootout.workers.openvino_runtime",
    ),
)

COUNTED = ("onnxruntime", "litert", "ncnn", "mnn")
"""The peers of the bar; OpenVINO is shown apart, since it runs on x86 alone, and the binding runs the same program."""
APART = "openvino"
