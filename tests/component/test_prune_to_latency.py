# SPDX-License-Identifier: Apache-2.0
"""Pruning until a device meets a budget, on a device whose latency is known: MACs, and something that never goes."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress.mac_count import macs
from edgectl.compress.stages import Prune
from edgectl.compress.state import ModelState
from edgectl.compress.structured import Evidence, prune
from edgectl.compress.structured.latency import MEASUREMENTS
from edgectl_protos.errors import UsageError

from tests.prunable_models import Residual, prunable_state


class Meter:
    """Takes `fixed` ms and one more for each hundredth of the whole model's MACs, to the power `bend`."""

    def __init__(self, whole: int, *, fixed: float = 5.0, bend: float = 1.0) -> None:
        self.whole, self.fixed, self.bend, self.measured = whole, fixed, bend, list[float]()

    def p95_ms(self, state: ModelState) -> float:
        self.measured.append(self.fixed + 100 * (macs(state) / self.whole) ** self.bend)
        return self.measured[-1]


@pytest.fixture(scope="module")
def state() -> ModelState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return prunable_state(Residual())


@pytest.mark.parametrize("bend", [0.5, 2.0])
@pytest.mark.parametrize("budget", [40.0, 80.0])
def test_budget_is_met_from_within_five_percent_in_at_most_twelve_measurements(
    state: ModelState, budget: float, bend: float
) -> None:
    meter = Meter(macs(state), bend=bend)
    stage = Prune(p95_ms=budget, round_to=1)
    pruned = prune(state, stage, evidence=Evidence(latency=meter), generator=torch.Generator())
    assert 0.95 * budget <= Meter(macs(state), bend=bend).p95_ms(pruned.state) <= budget
    assert len(meter.measured) <= MEASUREMENTS
    assert f"{budget:g} ms" in pruned.state.edits[-1].summary


def test_model_that_is_fast_enough_is_left_alone(state: ModelState) -> None:
    meter = Meter(macs(state))
    pruned = prune(state, Prune(p95_ms=200.0), evidence=Evidence(latency=meter), generator=torch.Generator())
    assert pruned.state.graph is state.graph
    assert len(meter.measured) == 1


def test_budget_below_what_never_goes_gives_the_nearest_and_says_so(state: ModelState) -> None:
    meter = Meter(macs(state), fixed=50.0)
    pruned = prune(state, Prune(p95_ms=20.0), evidence=Evidence(latency=meter), generator=torch.Generator())
    assert any("cannot be reached" in note for note in pruned.notes)
    assert pruned.removed["macs"] > 0.8
    assert len(meter.measured) <= MEASUREMENTS


def test_budget_in_ms_without_a_device_is_refused(state: ModelState) -> None:
    with pytest.raises(UsageError, match="without a device"):
        prune(state, Prune(p95_ms=20.0), generator=torch.Generator())
