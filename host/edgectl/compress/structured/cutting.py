# SPDX-License-Identifier: Apache-2.0
"""From a choice of channels to a cut graph that was checked: a set that fails its check stays, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from edgectl_protos.errors import CompileError
from torch.fx import GraphModule

from edgectl.compress.carrier import export_again
from edgectl.compress.reasons import first_line
from edgectl.compress.state import Frozen, ModelState
from edgectl.compress.structured.analysis import ChannelAnalysis
from edgectl.compress.structured.oracle import fault_of
from edgectl.compress.structured.places import place_of_atom
from edgectl.compress.structured.selection import Loss, Selection
from edgectl.compress.structured.surgery import cut_channels

_CULPRITS = 12  # so many sets that fail their check are left out before pruning gives up


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A checked graph (None where nothing goes), the choice that led to it, and what had to stay."""

    graph: GraphModule | None
    selection: Selection
    frozen: tuple[Frozen, ...]


def cut_checked(state: ModelState, analysis: ChannelAnalysis, select: Callable[[torch.Tensor], Selection]) -> Cut:
    """Cut what `select` chooses (it takes the leaders of atoms that must stay) until the result passes its check."""
    spared, frozen = torch.empty(0, dtype=torch.int64), list[Frozen]()
    for _ in range(_CULPRITS):
        selection = select(spared)
        if not len(selection.removed):
            return Cut(None, selection, tuple(frozen))
        graph, fault = _attempt(state, analysis, selection.removed)
        if graph is not None:
            return Cut(graph, selection, tuple(frozen))
        culprit, fault = _culprit(state, analysis, selection.losses, fault)
        spared = torch.cat([spared, culprit.family])
        frozen.append(Frozen(place_of_atom(analysis, int(culprit.removed[0])), "prune", fault, len(culprit.family)))
    return Cut(None, select(analysis.removable), tuple(frozen))


def _attempt(state: ModelState, analysis: ChannelAnalysis, removed: torch.Tensor) -> tuple[GraphModule | None, str]:
    """The cut graph, exported again, or why there is none."""
    keep = analysis.standing(removed)
    graph = state.copied_graph()
    try:
        cut_channels(graph, analysis, keep)
    except (RuntimeError, IndexError, TypeError, ValueError, KeyError) as error:
        return None, f"it cannot be cut: {first_line(error)}"
    fault = fault_of(state, graph, analysis, keep)
    if fault:
        return None, fault
    try:
        return export_again(graph, state.example_inputs, dynamic_batch=state.dynamic_batch), ""
    except CompileError as error:
        return None, f"cut there, {first_line(error)}"


def _culprit(state: ModelState, analysis: ChannelAnalysis, losses: Sequence[Loss], fault: str) -> tuple[Loss, str]:
    """By halving, one family of those removed that fails the check on its own, and its fault."""
    suspects = list(losses)
    while len(suspects) > 1:
        half = suspects[: len(suspects) // 2]
        graph, reason = _attempt(state, analysis, torch.cat([loss.removed for loss in half]))
        fault = fault if graph is not None else reason
        suspects = half if graph is None else suspects[len(suspects) // 2 :]
    return suspects[0], fault
