# SPDX-License-Identifier: Apache-2.0
"""The `prune` stage: whole channels go, with everything coupled to them; the cut graph is checked before use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from edgectl_protos.errors import CompileError, InternalError
from torch.fx import GraphModule

from edgectl.compress.carrier import export_model
from edgectl.compress.channels import ROWS, ChannelAnalysis, analyse_channels
from edgectl.compress.importance import channel_scores
from edgectl.compress.mac_count import macs
from edgectl.compress.selection import Selection, select_channels
from edgectl.compress.stages import PruneParameters, stage_document
from edgectl.compress.state import Edit, ModelState, parameter_count
from edgectl.compress.surgery import cut_channels, named_tensor, zero_columns

CHECK_TOLERANCE = 1e-4  # of the largest output; float32 sums in another order differ by some 1e-6

Cost = Callable[[torch.Tensor], int]


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """The cut state, what was kept (bool [labels] of `analysis`), and what there is to say about it."""

    state: ModelState
    analysis: ChannelAnalysis
    selection: Selection
    notes: tuple[str, ...]


def prune(state: ModelState, parameters: PruneParameters, *, generator: torch.Generator) -> Pruned:
    """Remove a share of the state's MACs, parameters or channels.

    Raises:
        CompileError: no channel of the model can be removed.
    """
    analysis = analyse_channels(state)
    if len(analysis.removable) == 0:
        raise CompileError(
            "no channel of this model can be removed",
            expected="a convolution or linear layer whose output stays inside the model",
            action=_frozen_note(analysis) or "leave the prune stage out",
        )
    unit, amount = parameters.budget
    scores = channel_scores(state.graph, analysis, importance=parameters.importance, generator=generator)
    cost = _costs(state, analysis)[unit]
    selection = select_channels(analysis, scores, amount=amount, round_to=parameters.round_to, cost=cost)
    graph = state.copied_graph()
    cut_channels(graph, analysis, selection.keep)
    _check(state, graph, analysis, selection.keep)
    summary = f"prune {amount:g} of {unit}, {parameters.importance}"
    edit = Edit("prune", stage_document(parameters), summary)
    # Exported again, so that the shapes in the graph's own records are those of the smaller tensors.
    pruned = state.edited(export_model(graph, state.example_inputs).graph, edit)
    return Pruned(pruned, analysis, selection, _notes(parameters, analysis, selection))


def _costs(state: ModelState, analysis: ChannelAnalysis) -> dict[str, Cost]:
    """Each unit's cost of what is kept; work and weights that no label touches are counted as they are."""
    shapes = {name: named_tensor(state.graph, name).shape for name in set(analysis.tensors.values())}
    bound: dict[str, dict[int, torch.Tensor]] = {}
    for binding in analysis.bindings:
        bound.setdefault(binding.tensor, {})[binding.dim] = binding.labels
    learned = {analysis.tensors[name] for name, _ in state.graph.named_parameters() if name in analysis.tensors}

    def elements(name: str, keep: torch.Tensor) -> int:
        dims = bound.get(name, {})
        kept = (int(keep[dims[dim]].sum()) if dim in dims else size for dim, size in enumerate(shapes[name]))
        return math.prod(kept)

    everything = torch.ones(len(analysis.roots), dtype=torch.bool)
    other_work = macs(state) - sum(positions * elements(name, everything) for positions, name in analysis.work)
    other_weights = parameter_count(state) - sum(elements(name, everything) for name in learned)
    rows = [binding.labels for binding in analysis.bindings if binding.role == ROWS]
    return {
        "macs": lambda keep: other_work + sum(times * elements(name, keep) for times, name in analysis.work),
        "parameters": lambda keep: other_weights + sum(elements(name, keep) for name in learned),
        "channels": lambda keep: sum(int(keep[labels].sum()) for labels in rows),
    }


def _check(state: ModelState, cut: GraphModule, analysis: ChannelAnalysis, keep: torch.Tensor) -> None:
    """A cut graph computes what the original does when its consumers ignore the channels that went."""
    reference = state.copied_graph()
    zero_columns(reference, analysis, keep)
    try:
        with torch.no_grad():
            expected, seen = reference(*state.example_inputs), cut(*state.example_inputs)
    except RuntimeError as error:
        raise InternalError(
            f"a pruned graph does not run: {str(error).splitlines()[0][:200]}", action="report the model's layers"
        ) from error
    for one, other in zip(_outputs(expected), _outputs(seen), strict=True):
        difference = float((one - other).abs().max())
        if difference > CHECK_TOLERANCE * max(1.0, float(one.abs().max())):
            raise InternalError(
                f"a pruned graph is off by {difference:.3g}",
                expected=f"at most {CHECK_TOLERANCE:g} of the largest output",
                action="report the model's layers; the state before pruning is untouched",
            )


def _outputs(value: Any) -> tuple[torch.Tensor, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _notes(parameters: PruneParameters, analysis: ChannelAnalysis, selection: Selection) -> tuple[str, ...]:
    unit, amount = parameters.budget
    asked = f"{amount:.1%} of {unit}"
    notes = [f"removed {selection.removed:.1%} of {unit}, asked for {amount:.1%}"]
    if not selection.reached:
        notes.append(
            f"{asked} cannot be removed: every layer that may be cut is down to {parameters.round_to} channels"
        )
    frozen = _frozen_note(analysis)
    return (*notes, frozen) if frozen else tuple(notes)


def _frozen_note(analysis: ChannelAnalysis) -> str:
    parts = [f"{name} ({count})" for name, count in sorted(analysis.frozen_by.items())]
    return f"channels kept because of operators without a rule: {', '.join(parts)}" if parts else ""
