# SPDX-License-Identifier: Apache-2.0
"""From a state to what runs: the float graph, or its int8 form made by PT2E for XNNPACK.

The conversion is done once per state, on the dynamic batch, and kept in the state's cache: predictions run a whole
split through it and lowering exports the same graph at batch 1, so both see the same numbers.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from edgectl_protos.errors import CompileError, InputError
from torch.export import ExportedProgram
from torch.fx import GraphModule

from edgectl.compress.reasons import first_line
from edgectl.compress.state import ModelState
from edgectl.cores import NEVER_PAUSED, Work

_CHUNK = 512


def materialize(state: ModelState, *, work: Work = NEVER_PAUSED) -> GraphModule:
    """The graph that is lowered: static batch 1, eval mode, float or int8 (quantize and dequantize operators inside).

    Raises:
        CompileError: the graph cannot be quantized or exported; one line.
    """
    if "materialized" not in state.cache:
        state.cache["materialized"] = materialize_program(state, work=work).module(check_guards=False)
    materialized: GraphModule = state.cache["materialized"]
    return materialized


def materialize_program(state: ModelState, *, work: Work = NEVER_PAUSED) -> ExportedProgram:
    """The same as an exported program, for a caller that lowers it at once."""
    graph = runnable(state, work=work)
    try:
        with work.working("export"), torch.no_grad():
            work.breathe()
            return torch.export.export(graph, state.example_inputs)
    except Exception as error:
        raise CompileError(f"the graph cannot be exported at batch 1: {first_line(error)}") from error


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


def runnable(state: ModelState, *, work: Work = NEVER_PAUSED) -> GraphModule:
    """The graph with a dynamic batch that computes what the device will: the state's own, or its int8 conversion."""
    if state.quantization is None:
        return state.graph
    if "converted" not in state.cache:
        state.cache["converted"] = _convert(state, state.quantization.calibration, work)
    converted: GraphModule = state.cache["converted"]
    return converted


def _convert(state: ModelState, calibration: torch.Tensor, work: Work) -> GraphModule:
    """Prepare, calibrate and convert: symmetric int8, weights per output channel, static activation ranges."""
    try:
        with work.working("quantization"), torch.no_grad(), _quiet_libraries():
            from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
                XNNPACKQuantizer,
                get_symmetric_quantization_config,
            )
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

            quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
            prepared = prepare_pt2e(state.copied_graph(), quantizer)
            for chunk in _paced(torch.split(calibration, _CHUNK), work):
                prepared(chunk)
            work.breathe()
            converted: GraphModule = convert_pt2e(prepared)
    except Exception as error:
        raise CompileError(f"the graph cannot be quantized: {first_line(error)}") from error
    return converted


def _paced(chunks: Sequence[torch.Tensor], work: Work) -> Iterator[torch.Tensor]:
    for chunk in chunks:
        work.breathe()
        yield chunk


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Warnings of the quantizer's libraries are about their own insides (extensions for GPUs, deprecations)."""
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
