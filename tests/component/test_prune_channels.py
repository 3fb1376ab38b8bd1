# SPDX-License-Identifier: Apache-2.0
"""Pruning against its oracle: the cut graph computes what the original does with its consumers' columns zeroed."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from edgectl.compress.mac_count import macs
from edgectl.compress.prune import Pruned, prune
from edgectl.compress.stages import Prune
from edgectl.compress.state import ModelState, parameter_count
from edgectl.compress.surgery import named_tensor, zero_columns
from edgectl_protos.errors import CompileError
from torch import nn

from tests.prunable_models import (
    COUPLINGS,
    ITEM_SHAPE,
    Chain,
    Concatenated,
    Depthwise,
    HardCodedView,
    Residual,
    SoftmaxOverChannels,
    TransformerEncoder,
    prunable_state,
)

ITEMS = torch.randn(6, *ITEM_SHAPE, generator=torch.Generator().manual_seed(3))


@cache
def state_at(index: int) -> ModelState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return prunable_state(COUPLINGS[index]())


def state_of(kind: type[nn.Module]) -> ModelState:
    return state_at(COUPLINGS.index(kind))


def cut(
    kind: type[nn.Module],
    *,
    amount: float = 0.5,
    unit: str = "macs",
    round_to: int = 4,
    importance: str = "group_magnitude",
) -> Pruned:
    parameters = Prune(**{unit: amount}, round_to=round_to, importance=importance)  # type: ignore[arg-type]
    return prune(state_of(kind), parameters, generator=torch.Generator().manual_seed(1))


def shapes(pruned: Pruned) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in pruned.state.graph.named_parameters()}


@pytest.mark.parametrize("kind", COUPLINGS, ids=lambda kind: kind.__name__)
def test_cut_graph_equals_original_with_consumers_columns_zeroed(kind: type[nn.Module]) -> None:
    original = state_of(kind)
    pruned = cut(kind, importance="random")
    reference = original.copied_graph()
    zero_columns(reference, pruned.analysis, pruned.selection.keep)
    with torch.no_grad():
        expected, seen, before = reference(ITEMS), pruned.state.graph(ITEMS), original.graph(ITEMS)
    assert float((expected - seen).abs().max()) <= 1e-5
    assert float((expected - before).abs().max()) > 1e-3, "nothing of consequence was cut"
    assert parameter_count(pruned.state) < parameter_count(original)


@pytest.mark.parametrize("unit", ["macs", "parameters"])
@pytest.mark.parametrize("amount", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("kind", [Chain, Residual, Concatenated, Depthwise], ids=lambda kind: kind.__name__)
def test_amount_is_met_as_measured_on_the_cut_graph(kind: type[nn.Module], amount: float, unit: str) -> None:
    original = state_of(kind)
    pruned = cut(kind, amount=amount, unit=unit, round_to=2)
    measure = {"macs": macs, "parameters": parameter_count}[unit]
    removed = 1 - measure(pruned.state) / measure(original)
    assert removed == pytest.approx(pruned.selection.removed, abs=1e-9)
    assert amount <= removed <= amount + 0.12  # one step of two channels in the widest layer of these small models


def test_kept_channels_are_multiples_of_round_to_in_every_coupled_tensor() -> None:
    for name, shape in shapes(cut(Residual, round_to=8)).items():
        inner = shape[1:2] if name.startswith("head.weight") else shape[:1]
        assert name == "head.bias" or inner[0] % 8 == 0, (name, shape)


def test_rounding_never_leaves_a_layer_without_channels() -> None:
    pruned = cut(Chain, amount=0.99, round_to=8)
    assert shapes(pruned)["layers.0.0.weight"][0] == 8
    assert not pruned.selection.reached
    assert any("cannot be removed" in note for note in pruned.notes)


def test_layer_narrower_than_round_to_keeps_its_channels() -> None:
    pruned = cut(Chain, amount=0.3, round_to=40)
    assert shapes(pruned)["layers.0.0.weight"][0] == 32


def test_weakest_channels_go_first() -> None:
    state = ModelState(state_of(Chain).copied_graph(), state_of(Chain).example_inputs)
    weak = [3, 9, 17, 30]
    with torch.no_grad():
        named_tensor(state.graph, "layers.0.0.weight")[weak] *= 1e-3
        named_tensor(state.graph, "layers.0.1.weight")[weak] *= 1e-3
        named_tensor(state.graph, "layers.2.0.weight")[:, weak] *= 1e-3
    pruned = prune(state, Prune(macs=0.01, round_to=4), generator=torch.Generator())
    kept = named_tensor(pruned.state.graph, "layers.0.0.weight")
    expected = torch.ones(32, dtype=torch.bool)
    expected[weak] = False
    assert torch.equal(kept, named_tensor(state.graph, "layers.0.0.weight")[expected])


def test_hard_coded_view_is_said_anew() -> None:
    graph = cut(HardCodedView, amount=0.9, unit="channels").state.graph
    sizes = [node.args[1] for node in graph.graph.nodes if "view" in str(node.target) or "reshape" in str(node.target)]
    assert all(size not in sizes for size in ([-1, 512], [-1, 16, 4, 4], [-1, 384]))


def test_operator_without_a_rule_freezes_its_inputs_and_is_named() -> None:
    pruned = cut(SoftmaxOverChannels)
    assert shapes(pruned)["stem.0.weight"][0] == 32
    assert shapes(pruned)["last.0.weight"][0] < 32
    assert any("softmax" in note and "(32)" in note for note in pruned.notes)


def test_attention_keeps_its_channels_and_feed_forward_loses_some() -> None:
    found = shapes(cut(TransformerEncoder, amount=0.2, unit="parameters"))
    assert found["layer.self_attn.in_proj_weight"] == (96, 32)
    assert found["layer.linear1.weight"][0] < 64
    assert found["layer.linear1.weight"][0] == found["layer.linear2.weight"][1]


def test_outputs_of_the_model_are_never_cut() -> None:
    assert shapes(cut(Chain, amount=0.9))["head.weight"][0] == 5


def test_state_before_pruning_is_untouched() -> None:
    state = state_of(Residual)
    before = {name: value.clone() for name, value in state.graph.state_dict().items()}
    cut(Residual, amount=0.7)
    assert all(torch.equal(value, before[name]) for name, value in state.graph.state_dict().items())


def test_cut_twice_still_runs_at_any_batch() -> None:
    once = cut(HardCodedView)
    twice = prune(once.state, Prune(macs=0.3, round_to=4), generator=torch.Generator())
    with torch.no_grad():
        assert twice.state.graph(ITEMS).shape == (6, 5)
        assert twice.state.graph(ITEMS[:1]).shape == (1, 5)


def test_tensors_are_contiguous_after_the_cut() -> None:
    graph = cut(Concatenated).state.graph
    assert all(value.is_contiguous() for value in graph.state_dict().values())


def test_model_without_inner_channels_is_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    with pytest.raises(CompileError, match="no channel of this model can be removed"):
        prune(prunable_state(flat), Prune(macs=0.5), generator=torch.Generator())


def test_random_importance_follows_its_generator() -> None:
    def kept(seed: int) -> torch.Tensor:
        parameters = Prune(macs=0.5, importance="random")
        generator = torch.Generator().manual_seed(seed)
        return prune(state_of(Chain), parameters, generator=generator).selection.keep

    assert torch.equal(kept(1), kept(1))
    assert not torch.equal(kept(1), kept(2))
