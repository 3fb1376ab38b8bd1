# SPDX-License-Identifier: Apache-2.0
"""Predictions of a state, and the graph that is lowered, as other parts of edgectl ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from edgectl_protos.errors import InputError
from torch.export import ExportedProgram
from torch.fx import GraphModule

from edgectl.compress.quantize.materialization import materialize as materialize_state
from edgectl.compress.quantize.materialization import runnable
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work

__all__ = ["materialize", "materialize_program", "predict", "runnable"]

_CHUNK = 512


def materialize(state: ModelState, *, work: Work = NEVER_PAUSED) -> GraphModule:
    """The graph that is lowered: the example's shapes, eval mode, float or quantized.

    Raises:
        CompileError: the graph cannot be quantized or exported; one line.
    """
    if "materialized" not in state.cache:
        state.cache["materialized"] = materialize_program(state, work=work).module(check_guards=False)
    materialized: GraphModule = state.cache["materialized"]
    return materialized


def materialize_program(state: ModelState, *, work: Work = NEVER_PAUSED) -> ExportedProgram:
    """The same as an exported program, for a caller that lowers it at once."""
    return materialize_state(state, work=work)


def predict(state: ModelState, inputs: torch.Tensor, *, work: Work = NEVER_PAUSED) -> torch.Tensor:
    """Logits float32 [N, classes] of inputs float32 [N, ...], through int8 where the state is quantized.

    Raises:
        InputError: the items have another shape than the model's example.
    """
    item = state.example_inputs[0].shape[1:]
    if inputs.shape[1:] != item:
        raise InputError(f"items of shape {list(inputs.shape[1:])}", expected=f"{list(item)}")
    graph = runnable(state, work=work)
    with work.working("evaluation"), torch.no_grad():
        return torch.cat([graph(chunk) for chunk in _paced(torch.split(inputs, _CHUNK), work)])


def _paced(chunks: Sequence[torch.Tensor], work: Work) -> Iterator[torch.Tensor]:
    for chunk in chunks:
        work.breathe()
        yield chunk
