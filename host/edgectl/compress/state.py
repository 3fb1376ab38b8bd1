# SPDX-License-Identifier: Apache-2.0
"""A model between two stages: its exported float graph, the overlays on it, and what was done to it.

A state is never changed: a stage copies the graph, edits the copy and returns a new state. `cache` only holds what can
be computed again from the other fields.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch.fx import GraphModule

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Edit:
    """One line of the log: what kind of edit, with which parameters (plain JSON), in words."""

    kind: str
    parameters: Mapping[str, Json]
    summary: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """A place a stage left as it was, and why; `channels` says how many it kept, where that is known."""

    place: str
    stage: str
    reason: str
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the graph is quantized when it is lowered: the scheme, and the inputs [N, ...] that set the ranges."""

    scheme: str
    calibration: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ModelState:
    """An exported graph in eval mode, on the CPU, and what lies over it until it is lowered.

    Attributes:
        graph: the float master; its parameters bear the names of the user's module.
        example_inputs: tensors of any dtype, batch 1 where dimension 0 is the batch.
        dynamic_batch: whether the graph takes any batch; where not, everything runs at the example's own.
        quantization: how to quantize it, None for float; the graph stays float.
        masks: by parameter name, bool of its shape: where False, the weight is and stays zero.
        batch_norm_dirty: whether batch-norm statistics are those of another, larger model.
        edits: what was done, in order.
        frozen: what could not be pruned or quantized.
    """

    graph: GraphModule
    example_inputs: tuple[torch.Tensor, ...]
    quantization: Any = None  # of compress.quantize, which stands above this module
    dynamic_batch: bool = True
    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    batch_norm_dirty: bool = False
    edits: tuple[Edit, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def edited(self, graph: GraphModule, edit: Edit) -> ModelState:
        """The state with another graph and one more line in its log of edits; overlays stay."""
        return replace(self, graph=graph, edits=(*self.edits, edit), cache={})

    def quantized(self, quantization: Any, edit: Edit) -> ModelState:
        """The state that is quantized when lowered; the graph stays the float master."""
        return replace(self, quantization=quantization, edits=(*self.edits, edit), cache={})

    def copied_graph(self) -> GraphModule:
        """A graph that may be edited: parameters and buffers are copies."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own copying of tree specs
            return copy.deepcopy(self.graph)


def parameter_count(state: ModelState) -> int:
    """Elements of all parameters (not buffers), tied ones counted once."""
    return sum(parameter.numel() for parameter in state.graph.parameters())


def nonzero_count(state: ModelState) -> int:
    """Elements of all parameters that are not zero, tied ones counted once."""
    return sum(int(torch.count_nonzero(parameter)) for parameter in state.graph.parameters())
