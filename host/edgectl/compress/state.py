# SPDX-License-Identifier: Apache-2.0
"""A model between two stages: its exported float graph, how it is to be quantized, and what was done to it.

A state is never changed: a stage copies the graph, edits the copy and returns a new state. `cache` only holds what can
be computed again from the other fields.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import GraphModule


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the graph is quantized when it is lowered: the scheme, and the inputs [N, ...] that set the ranges."""

    scheme: str
    calibration: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ModelState:
    """An exported graph in eval mode with a dynamic batch, on the CPU; `example_inputs` have batch 1."""

    graph: GraphModule
    example_inputs: tuple[torch.Tensor, ...]
    quantization: Quantization | None = None
    edits: tuple[str, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def edited(self, graph: GraphModule, edit: str) -> ModelState:
        """The state with another graph and one more line in its log of edits."""
        return ModelState(graph, self.example_inputs, self.quantization, (*self.edits, edit))

    def quantized(self, quantization: Quantization, edit: str) -> ModelState:
        """The state that is quantized when lowered; the graph stays the float master."""
        return ModelState(self.graph, self.example_inputs, quantization, (*self.edits, edit))

    def copied_graph(self) -> GraphModule:
        """A graph that may be edited: parameters and buffers are copies."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own copying of tree specs
            return copy.deepcopy(self.graph)


def parameter_count(state: ModelState) -> int:
    """Elements of all parameters (not buffers), tied ones counted once."""
    return sum(parameter.numel() for parameter in state.graph.parameters())
