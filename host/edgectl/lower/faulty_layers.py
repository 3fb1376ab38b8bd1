# SPDX-License-Identifier: Apache-2.0
"""A quantized state whose program fails or computes something else: the layers at fault are lowered in float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import CompileError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edgectl.lower.program import Program

Attempt = Callable[["ExportedProgram"], "Program"]


def lower_without_faulty_layers(state: Any, attempt: Attempt) -> Program:
    """The program of the state with as few layers in float as it takes; its notes name them, with the reason.

    Args:
        state: quantized, its ranges known.
        attempt: lowers an exported program and compares it with eager torch.

    Raises:
        CompileError: it fails with every layer in float too.
    """
    from edgectl.compress.quantize.calibration import quantized_places, without_culprits
    from edgectl.compress.quantize.layers import weighted_layers
    from edgectl.compress.quantize.materialization import materialize
    from edgectl.compress.quantize.spec import FP16

    spec = state.quantization
    if spec.scheme == FP16:
        raise CompileError("a float16 program is lowered whole or not at all")
    layers = set(weighted_layers(state.graph))
    places = [place for place in quantized_places(state, spec) if place in layers]

    def lowered(candidate: Any) -> Program:
        return attempt(materialize(replace(state, quantization=candidate, cache={})))

    program, found = without_culprits(spec, places, lowered)
    notes = tuple(f"{one.place} is lowered in float: {one.reason}" for one in found)
    return replace(program, notes=(*program.notes, *notes))
