# SPDX-License-Identifier: Apache-2.0
"""Public architectures that no one here designed, through pruning; the smallest through int8 and lowering too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.stages import Prune
from edgectl.compress.state import ModelState
from edgectl.compress.structured import prune

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PRUNED = ("ghostnet", "shufflenet_v2", "ssd", "vit", "gpt2", "whisper_encoder")
TAKEN_THROUGH = ("shufflenet_v1", "tcn")


@pytest.fixture(autouse=True)
def _architectures_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def architecture(name: str) -> Any:
    from architectures import ARCHITECTURES

    (found,) = (one for one in ARCHITECTURES if one.name == name)
    return found


@pytest.mark.parametrize("name", PRUNED)
def test_half_of_the_macs_go_within_a_tenth_and_nothing_fails_its_check(name: str) -> None:
    chosen = architecture(name)
    if chosen.needs_transformers:
        pytest.importorskip("transformers")
    carrier = export_model(chosen.model(), chosen.items(1)[0])
    state = ModelState(carrier.graph, carrier.example_inputs, dynamic_batch=carrier.dynamic_batch)
    pruned = prune(state, Prune(macs=0.5), generator=torch.Generator())
    assert 0.45 <= pruned.removed["macs"] <= 0.55
    assert carrier.dynamic_batch
    assert not [kept for kept in pruned.state.frozen if kept.reason.startswith("cut there")]


@pytest.mark.parametrize("name", TAKEN_THROUGH)
def test_program_gives_what_the_pruned_quantized_graph_gives_in_eager(name: str) -> None:
    from breadth import compressed

    row = compressed(architecture(name))
    assert row.passed, row.fault


def test_there_are_thirty_and_each_has_a_name_of_its_own() -> None:
    from architectures import ARCHITECTURES

    assert len({one.name for one in ARCHITECTURES}) == len(ARCHITECTURES) == 30
