# SPDX-License-Identifier: Apache-2.0
"""From a state to what runs: the float graph, or what the device computes of it, kept in the state's cache."""

from __future__ import annotations

import torch
from edgectl_protos.errors import CompileError
from torch.export import ExportedProgram
from torch.fx import GraphModule

from edgectl.compress.quantize.conversion import quantized_graph, quiet_libraries
from edgectl.compress.quantize.spec import QuantizationSpec
from edgectl.compress.reasons import first_line
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work

CONVERTED = "converted"  # key of a state's cache


def runnable(state: ModelState, *, work: Work = NEVER_PAUSED) -> GraphModule:
    """What the device computes: the state's own graph, or its quantized form; a batch of any size where the state's is.

    Raises:
        CompileError: the state's ranges were voided and not found again, or it cannot be converted.
    """
    spec: QuantizationSpec | None = state.quantization
    if spec is None:
        return state.graph
    if not spec.calibrated:
        raise CompileError(
            "the ranges of the activations are void: the model was cut after it was quantized",
            action="calibrate it again",
        )
    if CONVERTED not in state.cache:
        try:
            with work.working("quantization"), torch.no_grad():
                work.breathe()
                state.cache[CONVERTED] = quantized_graph(state, spec)
        except CompileError:
            raise
        except Exception as error:
            raise CompileError(f"the graph cannot be quantized: {first_line(error)}") from error
    converted: GraphModule = state.cache[CONVERTED]
    return converted


def materialize(state: ModelState, *, work: Work = NEVER_PAUSED) -> ExportedProgram:
    """What is lowered: the runnable graph, exported at exactly the example's shapes.

    Raises:
        CompileError: it cannot be quantized or exported; one line.
    """
    graph = runnable(state, work=work)
    try:
        with work.working("export"), torch.no_grad(), quiet_libraries():
            work.breathe()
            return torch.export.export(graph, state.example_inputs)
    except Exception as error:
        raise CompileError(f"the graph cannot be exported at batch 1: {first_line(error)}") from error
