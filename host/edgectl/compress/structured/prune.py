# SPDX-License-Identifier: Apache-2.0
"""The `prune` stage: whole channels go, with everything coupled to them; every cut graph is checked before it is used.

What cannot go is left as it is and listed, with place and reason; the stage never fails for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgectl.compress.mac_count import macs
from edgectl.compress.named_places import is_chosen
from edgectl.compress.stages import Prune, stage_document
from edgectl.compress.state import Edit, Frozen, ModelState, parameter_count
from edgectl.compress.structured.analysis import ChannelAnalysis
from edgectl.compress.structured.batch_norm import has_batch_norm, reestimate
from edgectl.compress.structured.costs import cost_of
from edgectl.compress.structured.cutting import Cut, cut_checked
from edgectl.compress.structured.evidence import Evidence
from edgectl.compress.structured.importance import channel_scores, check_evidence
from edgectl.compress.structured.rules import rule_of
from edgectl.compress.structured.selection import Amount, Selection, select_channels
from edgectl.compress.structured.surgery import cut_tensors
from edgectl.compress.structured.trace import analyse_channels
from edgectl.cores import NEVER_PAUSED, Work

KIND = "prune"
NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """The cut state, the share removed by unit (macs, parameters, and the unit asked for), and what there is to say."""

    state: ModelState
    removed: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """What a pruning works with, beside the state."""

    parameters: Prune
    evidence: Evidence
    generator: torch.Generator
    work: Work


def prune(
    state: ModelState,
    parameters: Prune,
    *,
    evidence: Evidence = NO_EVIDENCE,
    generator: torch.Generator,
    work: Work = NEVER_PAUSED,
) -> Pruned:
    """Remove whole channels until the budget is met, or as much as can go.

    Raises:
        UsageError: the criterion or the budget needs evidence that is missing; before any work.
    """
    from edgectl.compress.structured.latency import prune_to_latency

    check_evidence(parameters.importance, evidence)
    unit, value = parameters.budget
    means = Means(parameters, evidence, generator, work)
    with work.working("pruning"):
        if unit == "p95_ms":
            return prune_to_latency(state, means)
        return prune_share(state, means, unit, value)


def prune_share(state: ModelState, means: Means, unit: str, share: float) -> Pruned:
    """Remove a share of a unit, in as many steps as the parameters say; each step looks at the model anew."""
    parameters, before = means.parameters, state
    frozen: list[Frozen] = []
    selection: Selection | None = None
    total = 0.0
    for step in range(1, parameters.steps + 1):
        means.work.breathe()
        analysis = analyse_channels(state, rule_of, spared=lambda name: not _is_target(name, parameters))
        cost = cost_of(state, analysis, unit)
        total = total or float(cost(torch.ones(len(analysis.members), dtype=torch.bool)))
        cut = _step(state, analysis, means, Amount(total * (1 - share * step / parameters.steps), total, cost))
        frozen += [*cut.frozen, *(Frozen(one.place, KIND, one.reason, one.channels or None) for one in analysis.kept)]
        selection = cut.selection
        if cut.graph is None:
            break
        state = _edited(state, analysis, cut, means)
    edit = Edit(KIND, stage_document(parameters), f"prune {share:g} of {unit}, {parameters.importance}")
    frozen_now = _merged(before.frozen, frozen)
    done = dataclasses.replace(state, edits=(*before.edits, edit), frozen=frozen_now, cache={})
    return _told(before, done, unit, share, selection, round_to=parameters.round_to)


def _is_target(weight: str, parameters: Prune) -> bool:
    return is_chosen(weight, targets=parameters.targets, exclude=parameters.exclude)


def _step(state: ModelState, analysis: ChannelAnalysis, means: Means, amount: Amount) -> Cut:
    parameters, work = means.parameters, means.work
    scores = channel_scores(
        state,
        analysis,
        importance=parameters.importance,
        evidence=means.evidence,
        generator=means.generator,
        work=work,
    )
    order = "layer" if parameters.scope == "layer" else "lamp" if parameters.importance == "lamp" else "relative"

    def select(spared: torch.Tensor) -> Selection:
        work.breathe()
        return select_channels(analysis, scores, amount, round_to=parameters.round_to, order=order, spared=spared)

    return cut_checked(state, analysis, select)


def _edited(state: ModelState, analysis: ChannelAnalysis, cut: Cut, means: Means) -> ModelState:
    """The state with the cut graph; masks are cut alike, ranges of activations are void."""
    graph = cut.graph
    assert graph is not None  # noqa: S101 - the caller has looked
    calibration = means.evidence.calibration
    dirty = has_batch_norm(graph)
    if dirty and means.parameters.reestimate_batch_norm and calibration is not None:
        dirty = not reestimate(graph, calibration(), dynamic_batch=state.dynamic_batch, work=means.work)
    void = getattr(state.quantization, "void_activation_ranges", None)
    return dataclasses.replace(
        state,
        graph=graph,
        masks=_cut_masks(state, analysis, analysis.standing(cut.selection.removed)),
        quantization=state.quantization if void is None else void(),
        batch_norm_dirty=dirty,
        cache={},
    )


def _cut_masks(state: ModelState, analysis: ChannelAnalysis, keep: torch.Tensor) -> dict[str, torch.Tensor]:
    by_source = {analysis.tensors.get(name, name): mask for name, mask in state.masks.items()}
    cut = cut_tensors(by_source, analysis, keep)
    return {name: cut.get(analysis.tensors.get(name, name), mask) for name, mask in state.masks.items()}


def _told(
    before: ModelState, after: ModelState, unit: str, share: float, selection: Selection | None, *, round_to: int
) -> Pruned:
    removed = {
        "macs": 1.0 - macs(after) / max(macs(before), 1),
        "parameters": 1.0 - parameter_count(after) / max(parameter_count(before), 1),
    }
    reached = selection.share if selection is not None else 0.0
    removed.setdefault(unit, reached)
    notes = [f"removed {reached:.1%} of {unit}, asked for {share:.1%}"]
    if selection is not None and selection.round_to != round_to:
        notes.append(f"in tiles of {selection.round_to} channels: those of {round_to} come no nearer")
    if selection is None or not selection.reached:
        notes.append(
            f"{share:.1%} of {unit} cannot be removed: {reached:.1%} is the nearest, one tile stays everywhere"
        )
    known = {(one.place, one.reason) for one in before.frozen}
    kept = [one for one in after.frozen if one.stage == KIND and (one.place, one.reason) not in known]
    notes.extend(f"kept at {one.place}: {_counted(one)}{one.reason}" for one in kept)
    if after.batch_norm_dirty:
        notes.append("batch-norm statistics are those of the larger model: give calibration data, or train")
    return Pruned(after, removed, tuple(notes))


def _counted(frozen: Frozen) -> str:
    return f"{frozen.channels} channels, " if frozen.channels else ""


def _merged(known: Sequence[Frozen], found: Sequence[Frozen]) -> tuple[Frozen, ...]:
    """What was known, then each new place and reason once."""
    merged = {(one.place, one.stage, one.reason): one for one in reversed([*known, *found])}
    return tuple(merged[key] for key in dict.fromkeys((one.place, one.stage, one.reason) for one in [*known, *found]))
