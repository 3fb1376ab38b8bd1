# SPDX-License-Identifier: Apache-2.0
"""Where training runs: a GPU where torch sees one, else the CPU; the state itself always rests on the CPU."""

from __future__ import annotations

import torch
from torch.fx import GraphModule


def training_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def place(graph: GraphModule, device: torch.device) -> None:
    """Move an exported graph in place: parameters, buffers, and the device literals that export baked in."""
    graph.to(device)
    for node in graph.graph.nodes:
        if node.op == "call_function" and "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": device}
    graph.recompile()
