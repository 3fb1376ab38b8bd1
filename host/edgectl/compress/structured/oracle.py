# SPDX-License-Identifier: Apache-2.0
"""The check of every structural edit: a cut graph does what the original does with consumers' columns zeroed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.fx import GraphModule

from edgectl.compress.carrier import batched_inputs, output_tensors
from edgectl.compress.reasons import first_line
from edgectl.compress.state import ModelState
from edgectl.compress.structured.analysis import ChannelAnalysis
from edgectl.compress.structured.surgery import zero_columns

TOLERANCE = 1e-4  # of the largest output; float32 sums in another order differ by some 1e-6


def fault_of(state: ModelState, cut: GraphModule, analysis: ChannelAnalysis, keep: torch.Tensor) -> str:
    """Why a cut graph is not what it should be; empty where it is. `keep` is bool [labels]."""
    reference = state.copied_graph()
    zero_columns(reference, analysis, keep)
    inputs = state.example_inputs
    if state.dynamic_batch:
        inputs = tuple(
            torch.cat([one, one.flip(-1) if one.ndim > 1 else one]) if batch else one
            for one, batch in zip(inputs, batched_inputs(inputs), strict=True)
        )
    try:
        with torch.no_grad():
            expected = output_tensors(reference(*(tensor.clone() for tensor in inputs)))
            seen = output_tensors(cut(*(tensor.clone() for tensor in inputs)))
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        return f"cut there, the graph does not run: {first_line(error)}"
    return _difference(expected, seen)


def _difference(expected: Sequence[torch.Tensor], seen: Sequence[torch.Tensor]) -> str:
    for one, other in zip(expected, seen, strict=True):
        if one.shape != other.shape:
            return f"cut there, an output has shape {list(other.shape)} in place of {list(one.shape)}"
        if not one.is_floating_point() or not one.numel():
            continue
        finite = torch.isfinite(one) & torch.isfinite(other)
        if not bool((finite | (one == other) | (one.isnan() & other.isnan())).all()):
            return "cut there, an output is no longer finite"
        difference = float((one - other)[finite].abs().max()) if bool(finite.any()) else 0.0
        scale = float(one[finite].abs().max()) if bool(finite.any()) else 1.0
        if difference > TOLERANCE * max(scale, 1e-3):
            return f"cut there, an output is off by {difference:.2g} (at most {TOLERANCE:g} of the largest)"
    return ""
