# SPDX-License-Identifier: Apache-2.0
"""Golden cases: inputs, and what eager torch computes for them from the very graph that is lowered."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from edgectl_protos.errors import CompileError
from edgectl_protos.manifest import Tolerance

if TYPE_CHECKING:
    import torch
    from torch import fx

    from edgectl.compress.state import ModelState

Array = npt.NDArray[np.generic]

GOLDEN_CASES = 3
FLOAT_ABSOLUTE = 1e-4
FLOAT_RELATIVE = 1e-3
INT8_QUANTA = 4.0


@dataclass(frozen=True, slots=True)
class GoldenTensors:
    """The inputs of one run and the outputs expected of it, in the program's order, batch 1."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The cases and how far an output may be off; docs/lowering.md justifies the tolerance."""

    cases: tuple[GoldenTensors, ...]
    tolerance: Tolerance


def make_golden(state: ModelState, inputs: torch.Tensor | Sequence[tuple[torch.Tensor, ...]]) -> GoldenSet:
    """Golden cases, one each, for the first rows of `inputs` (float32 [N, ...], held-out items), or tuples of inputs.

    Raises:
        CompileError: there are no rows, or the model gives a number that is not finite.
    """
    from edgectl.compress.materialize import materialize

    return golden_of_graph(materialize(state), inputs[:GOLDEN_CASES])


def golden_of_graph(graph: fx.GraphModule, inputs: torch.Tensor | Sequence[tuple[torch.Tensor, ...]]) -> GoldenSet:
    """Golden cases for every row of `inputs`, or for each tuple of inputs, from a graph that takes batch 1.

    Raises:
        CompileError: see `make_golden`.
    """
    if len(inputs) == 0:
        raise CompileError("no items for golden cases", expected="at least one test item")
    cases = tuple(_case(graph, call) for call in _calls(inputs))
    peak = max(float(np.max(np.abs(output))) for case in cases for output in case.outputs)
    return GoldenSet(cases, _tolerance(graph, peak))


def npy_bytes(array: Array) -> bytes:
    """`array` as a version 1.0 .npy file: row-major, no pickle, the same bytes for the same array."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _calls(inputs: torch.Tensor | Sequence[tuple[torch.Tensor, ...]]) -> list[tuple[torch.Tensor, ...]]:
    import torch

    if isinstance(inputs, torch.Tensor):
        return [(inputs[index : index + 1],) for index in range(len(inputs))]
    return list(inputs)


def _case(graph: fx.GraphModule, call: tuple[torch.Tensor, ...]) -> GoldenTensors:
    import torch

    from edgectl.compress.carrier import output_tensors

    with torch.no_grad():
        outputs = output_tensors(graph(*call))
    arrays = tuple(np.ascontiguousarray(output.detach().cpu().numpy()) for output in outputs)
    if not all(np.all(np.isfinite(array)) for array in arrays):
        raise CompileError(
            "the model gives NaN or infinity for a test item",
            expected="finite outputs",
            action="train it again with a smaller learning rate",
        )
    return GoldenTensors(tuple(np.ascontiguousarray(item.cpu().numpy()) for item in call), arrays)


def _tolerance(graph: fx.GraphModule, peak: float) -> Tolerance:
    scale = output_quantum(graph)
    if scale is not None:
        return Tolerance(absolute=INT8_QUANTA * scale, relative=0.0)
    return Tolerance(absolute=FLOAT_ABSOLUTE * max(peak, 1e-3), relative=FLOAT_RELATIVE)


def output_quantum(graph: fx.GraphModule) -> float | None:
    """The step of the last int8 activation before the output; None for a float graph."""
    for node in reversed(graph.graph.nodes):
        if node.op == "call_function" and "quantized_decomposed.dequantize_per_tensor.default" in str(node.target):
            scale = node.args[1]
            if isinstance(scale, float):
                return scale
    return None
