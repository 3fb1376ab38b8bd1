# SPDX-License-Identifier: Apache-2.0
"""Pruning until a device meets a latency: the share of MACs to remove is searched by measurement.

Latency is taken to fall as the share rises. Each try prunes the state as it was, to another share, and is measured
once; the next share lies where a line through the two nearest measurements meets the budget, kept within the bounds
that are known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from edgectl_protos.errors import UsageError

from edgectl.compress.stages import Prune
from edgectl.compress.state import ModelState
from edgectl.compress.structured.prune import Means, Pruned, prune_share

MEASUREMENTS = 12
_AIM = 0.975  # of the budget: the middle of the band
_BAND = 0.95
_MOST = 0.97  # of the MACs
_SMALLEST_STEP = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    share: float
    p95_ms: float
    pruned: Pruned


def prune_to_latency(state: ModelState, means: Means) -> Pruned:
    """Prune until the 95th percentile is within 5 % below the budget, or as near below it as the tiles allow.

    Raises:
        UsageError: there is no device to measure on.
    """
    _, budget = means.parameters.budget
    meter = means.evidence.latency
    if meter is None:
        raise UsageError(
            f"a budget of {budget:g} ms without a device",
            expected="a device to measure on",
            action="name a device, or give the budget as macs, parameters or bytes",
        )
    seed = means.generator.get_state()

    def tried(share: float) -> _Try:
        means.generator.set_state(seed)  # every try draws the same numbers
        pruned = prune_share(state, means, "macs", share)
        return _Try(share, meter.p95_ms(pruned.state), pruned)

    whole = _Try(0.0, meter.p95_ms(state), Pruned(state, {"macs": 0.0, "parameters": 0.0}, ()))
    found, measured = _search(whole, budget, tried)
    return _told(found, budget, measured, means.parameters, state)


def _search(whole: _Try, budget: float, tried: Callable[[float], _Try]) -> tuple[_Try, int]:
    """The best try and how many measurements it took."""
    slow, count = whole, 1
    fast: _Try | None = None
    while slow.p95_ms > budget and count < MEASUREMENTS:
        share = _next_share(slow, fast, budget)
        if share is None:
            break
        attempt = tried(share)
        count += 1
        if attempt.p95_ms > budget:
            if fast is None and share >= _MOST:
                return attempt, count
            slow = attempt
        else:
            fast = attempt
            if attempt.p95_ms >= _BAND * budget:
                break
    return (fast if fast is not None else slow), count


def _next_share(slow: _Try, fast: _Try | None, budget: float) -> float | None:
    """Where to measure next; None where no share lies between what was measured."""
    aim = _AIM * budget
    if fast is None:
        left = (1.0 - slow.share) * aim / slow.p95_ms  # as if latency were in proportion to MACs
        return min(_MOST, max(1.0 - left, slow.share + 0.05))
    if fast.share - slow.share < _SMALLEST_STEP or fast.pruned.removed["macs"] == slow.pruned.removed["macs"]:
        return None
    part = (slow.p95_ms - aim) / max(slow.p95_ms - fast.p95_ms, 1e-9)
    return slow.share + (fast.share - slow.share) * min(0.85, max(0.15, part))


def _told(found: _Try, budget: float, measured: int, parameters: Prune, before: ModelState) -> Pruned:
    notes = [f"p95 is {found.p95_ms:.3g} ms, asked for at most {budget:g} ms, after {measured} measurements"]
    if found.p95_ms > budget:
        notes.append(f"{budget:g} ms cannot be reached by pruning: {found.p95_ms:.3g} ms is the nearest")
    elif found.p95_ms < _BAND * budget and found.share > 0.0:
        notes.append(f"no step of {parameters.round_to} channels lies nearer to the budget")
    kept = [note for note in found.pruned.notes if note.startswith(("kept", "batch-norm"))]
    state = found.pruned.state
    if len(state.edits) > len(before.edits):
        summary = f"prune to {budget:g} ms: {found.pruned.removed['macs']:.1%} of macs, {parameters.importance}"
        edits = (*state.edits[:-1], dataclasses.replace(state.edits[-1], summary=summary))
        state = dataclasses.replace(state, edits=edits, cache={})
    return Pruned(state, found.pruned.removed, (*notes, *kept))
