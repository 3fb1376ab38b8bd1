# SPDX-License-Identifier: Apache-2.0
"""What makes a float model easier to quantize, before it is: each edits the weights of the master."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from edgectl.compress.data.example import Inputs
from edgectl.compress.quantize.folding import fold_batch_norms
from edgectl.compress.quantize.passes.adaround import adaround
from edgectl.compress.quantize.passes.bias_correction import correct_biases
from edgectl.compress.quantize.passes.equalization import equalize
from edgectl.compress.quantize.passes.smoothquant import smooth
from edgectl.compress.quantize.spec import QuantizationSpec
from edgectl.compress.state import Edit, ModelState
from edgectl.cores import Work

EQUALIZATION, SMOOTHQUANT, ADAROUND, BIAS_CORRECTION = "equalization", "smoothquant", "adaround", "bias_correction"


def run_passes(
    state: ModelState,
    names: Sequence[str],
    spec: QuantizationSpec,
    items: Sequence[Inputs],
    *,
    generator: torch.Generator,
    work: Work,
) -> ModelState:
    """The state with batch norms folded and the passes run, whatever their order in `names`: the order here is theirs.

    Scales first, then roundings, then what the roundings shifted.
    """
    graph = state.copied_graph()
    folded = fold_batch_norms(graph)
    said = [f"{folded} batch norms folded"] if folded else []
    if EQUALIZATION in names:
        said.append(f"{equalize(graph)} pairs of layers equalized")
    if SMOOTHQUANT in names:
        said.append(f"{smooth(graph, items, work=work)} norms smoothed")
    if ADAROUND in names:
        said.append(f"{adaround(graph, spec, items, generator=generator, work=work)} layers rounded")
    if BIAS_CORRECTION in names:
        said.append(f"{correct_biases(graph, spec, items, work=work)} biases corrected")
    graph.recompile()
    edited = state.edited(graph, Edit("quantize.passes", {"passes": list(names)}, ", ".join(said)))
    return replace(edited, batch_norm_dirty=False if folded else state.batch_norm_dirty)
