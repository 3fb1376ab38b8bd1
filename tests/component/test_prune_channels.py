# SPDX-License-Identifier: Apache-2.0
"""Pruning against its oracle: the cut graph computes what the original does with its consumers' columns zeroed."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch
from edgectl.compress.mac_count import macs
from edgectl.compress.stages import Prune
from edgectl.compress.state import ModelState, parameter_count
from edgectl.compress.structured import Evidence, Pruned, prune
from edgectl.compress.structured.analysis import ROWS, ChannelAnalysis
from edgectl.compress.structured.costs import cost_of
from edgectl.compress.structured.families import families_of
from edgectl.compress.structured.rules import rule_of
from edgectl.compress.structured.surgery import cut_channels, named_tensor, zero_columns
from edgectl.compress.structured.trace import analyse_channels
from edgectl_protos.errors import UsageError
from torch import nn

from tests.prunable_models import (
    COUPLINGS,
    ITEM_SHAPE,
    Chain,
    ChannelsLast,
    Concatenated,
    Depthwise,
    FusedAttention,
    Grouped,
    HardCodedView,
    Recurrent,
    Residual,
    SoftmaxOverChannels,
    TransformerEncoder,
    prunable_state,
)

ITEMS = torch.randn(6, *ITEM_SHAPE, generator=torch.Generator().manual_seed(3))


@functools.cache
def state_at(index: int) -> ModelState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return prunable_state(COUPLINGS[index]())


def state_of(kind: type[nn.Module]) -> ModelState:
    return state_at(COUPLINGS.index(kind))


@functools.cache
def analysis_at(index: int) -> ChannelAnalysis:
    return analyse_channels(state_at(index), rule_of)


def analysis_of(kind: type[nn.Module]) -> ChannelAnalysis:
    return analysis_at(COUPLINGS.index(kind))


def cut(kind: type[nn.Module], *, evidence: Evidence | None = None, **parameters: object) -> Pruned:
    wanted = {"macs": 0.5, "round_to": 4} if not {"parameters", "channels", "bytes"} & set(parameters) else {}
    stage = Prune(**{**wanted, **parameters})  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    return prune(state_of(kind), stage, evidence=evidence or Evidence(), generator=generator)


def shapes(pruned: Pruned) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in pruned.state.graph.named_parameters()}


def without(kind: type[nn.Module], removed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model gives with its consumers' columns zeroed, and what it gives once it is cut."""
    state, analysis = state_of(kind), analysis_of(kind)
    keep = analysis.standing(removed)
    reference, smaller = state.copied_graph(), state.copied_graph()
    zero_columns(reference, analysis, keep)
    cut_channels(smaller, analysis, keep)
    with torch.no_grad():
        return reference(ITEMS), smaller(ITEMS)


@pytest.mark.parametrize("kind", COUPLINGS, ids=lambda kind: kind.__name__)
def test_any_set_of_atoms_can_go_and_the_rest_computes_as_if_its_consumers_ignored_them(kind: type[nn.Module]) -> None:
    analysis = analysis_of(kind)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        before = state_of(kind).graph(ITEMS)
    for _ in range(2):
        gone = []
        for family in families_of(analysis, torch.zeros(len(analysis.members)), round_to=1, spared=torch.tensor([0])):
            drawn = torch.randperm(len(family.leaders), generator=generator)
            count = int(torch.randint(1, max(2, len(drawn)), (), generator=generator))
            gone.append(family.leaders[drawn[: min(count, len(drawn) - 1)]])  # a family of one stays
        expected, seen = without(kind, torch.cat(gone))
        assert float((expected - seen).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))
        assert float((expected - before).abs().max()) > 1e-6, "nothing of consequence was cut"


@pytest.mark.parametrize("kind", COUPLINGS, ids=lambda kind: kind.__name__)
def test_each_family_alone_can_go_down_to_one_atom(kind: type[nn.Module]) -> None:
    analysis = analysis_of(kind)
    families = families_of(analysis, torch.zeros(len(analysis.members)), round_to=1, spared=torch.tensor([0]))
    for family in families:
        expected, seen = without(kind, family.leaders[1:])
        assert float((expected - seen).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("kind", [kind for kind in COUPLINGS if kind is not Recurrent], ids=lambda kind: kind.__name__)
def test_half_of_the_macs_go_within_a_tenth_as_measured_on_the_cut_graph(kind: type[nn.Module]) -> None:
    pruned = cut(kind, round_to=8)
    assert 0.45 <= 1 - macs(pruned.state) / macs(state_of(kind)) <= 0.55
    assert pruned.removed["macs"] == pytest.approx(1 - macs(pruned.state) / macs(state_of(kind)))


@pytest.mark.parametrize("unit", ["macs", "parameters", "bytes"])
@pytest.mark.parametrize("kind", [Chain, Depthwise, TransformerEncoder], ids=lambda kind: kind.__name__)
def test_cost_is_predicted_as_it_is_then_measured(kind: type[nn.Module], unit: str) -> None:
    state, analysis = state_of(kind), analysis_of(kind)
    families = families_of(analysis, torch.zeros(len(analysis.members)), round_to=1, spared=torch.tensor([0]))
    keep = analysis.standing(torch.cat([family.leaders[::3] for family in families]))
    smaller = state.copied_graph()
    cut_channels(smaller, analysis, keep)
    left = dataclasses.replace(state, graph=smaller, cache={})
    tensors = [*smaller.parameters(), *smaller.buffers()]
    measured = {
        "macs": macs(left),
        "parameters": parameter_count(left),
        "bytes": sum(one.numel() * one.element_size() for one in tensors),
    }
    assert cost_of(state, analysis, unit)(keep) == measured[unit]


@pytest.mark.parametrize("amount", [0.2, 0.8])
@pytest.mark.parametrize("kind", [Residual, Concatenated], ids=lambda kind: kind.__name__)
def test_parameters_asked_for_go_within_a_tenth(kind: type[nn.Module], amount: float) -> None:
    pruned = cut(kind, parameters=amount, round_to=2)
    removed = 1 - parameter_count(pruned.state) / parameter_count(state_of(kind))
    assert removed == pytest.approx(amount, rel=0.1)


def test_kept_channels_are_multiples_of_round_to_in_every_coupled_tensor() -> None:
    for name, shape in shapes(cut(Residual, round_to=8)).items():
        inner = shape[1:2] if name.startswith("head.weight") else shape[:1]
        assert name == "head.bias" or inner[0] % 8 == 0, (name, shape)


def test_rounding_never_leaves_a_layer_under_one_tile_and_says_what_was_reached() -> None:
    pruned = cut(SoftmaxOverChannels, macs=0.95, round_to=8)
    assert shapes(pruned)["last.0.weight"][0] == 8
    assert any("cannot be removed" in note for note in pruned.notes)


def test_smaller_tiles_are_taken_where_large_ones_miss_the_amount_and_it_is_said() -> None:
    pruned = cut(Chain, macs=0.1, round_to=16)
    assert 0.09 <= pruned.removed["macs"] <= 0.11
    assert any("tiles of" in note for note in pruned.notes)


def test_weakest_channels_go_first() -> None:
    state = dataclasses.replace(state_of(Chain), graph=state_of(Chain).copied_graph(), cache={})
    weak = [3, 9, 17, 30]
    with torch.no_grad():
        named_tensor(state.graph, "layers.0.0.weight")[weak] *= 1e-3
        named_tensor(state.graph, "layers.0.1.weight")[weak] *= 1e-3
        named_tensor(state.graph, "layers.2.0.weight")[:, weak] *= 1e-3
    pruned = prune(state, Prune(macs=0.06, round_to=4), generator=torch.Generator())
    kept = named_tensor(pruned.state.graph, "layers.0.0.weight")
    expected = torch.ones(32, dtype=torch.bool)
    expected[weak] = False
    assert torch.equal(kept, named_tensor(state.graph, "layers.0.0.weight")[expected])


def test_hard_coded_view_is_said_anew() -> None:
    graph = cut(HardCodedView, channels=0.6, round_to=2).state.graph
    sizes = [node.args[1] for node in graph.graph.nodes if "view" in str(node.target) or "reshape" in str(node.target)]
    assert [-1, 512] not in sizes
    assert [-1, 16, 4, 4] not in sizes


def test_operator_that_mixes_channels_keeps_them_and_says_where_and_why() -> None:
    pruned = cut(SoftmaxOverChannels)
    assert shapes(pruned)["stem.0.weight"][0] == 32
    assert shapes(pruned)["last.0.weight"][0] < 32
    (kept,) = pruned.state.frozen
    assert (kept.stage, kept.channels) == ("prune", 32)
    assert "runs along them" in kept.reason
    assert any("32 channels" in note for note in pruned.notes)


def test_operator_without_a_rule_keeps_what_enters_it_and_names_the_module() -> None:
    kept = {one.place: one for one in cut(Recurrent).state.frozen}
    assert kept["memory"].channels == 16
    assert "lstm" in kept["memory"].reason


def test_layer_norm_keeps_its_width_and_heads_and_hidden_layer_lose_some() -> None:
    found = shapes(cut(FusedAttention, parameters=0.3))
    assert found["norm.weight"] == (32,)
    assert found["qkv.weight"][0] < 96
    assert found["qkv.weight"][0] // 3 == found["out.weight"][1]


def test_whole_heads_and_the_width_of_heads_are_atoms_of_their_own() -> None:
    analysis = analysis_of(FusedAttention)
    rows = {one.tensor: one.labels for one in analysis.bindings if one.role == ROWS}["qkv.weight"]
    atoms = analysis.members[rows]
    assert atoms.shape == (96, 2)  # each row of the weight needs its head and its place within the head
    assert len(torch.unique(atoms)) == 4 + 8


def test_whole_groups_go_or_the_same_places_within_each() -> None:
    pruned = cut(Grouped)
    convolutions = [node for node in pruned.state.graph.graph.nodes if str(node.target).startswith("aten.conv2d")]
    (groups,) = [int(str(node.args[6])) for node in convolutions if len(node.args) > 6]
    wide = shapes(pruned)["wide.0.weight"]
    assert wide[0] % groups == 0
    assert wide[1] * groups == shapes(pruned)["stem.0.weight"][0]
    assert wide[0] % 8 == 0  # whole groups of the norm


def test_channels_last_block_keeps_its_width_and_prunes_its_hidden_layer() -> None:
    found = shapes(cut(ChannelsLast))
    assert found["norm.weight"] == (24,)
    assert found["wide.weight"][0] == 2 * found["back.weight"][1] < 96


def test_outputs_of_the_model_are_never_cut() -> None:
    assert shapes(cut(Chain, macs=0.9))["head.weight"][0] == 5


def test_targets_and_exclusions_choose_the_layers() -> None:
    found = shapes(cut(Chain, channels=0.2, targets=["re:layers\\.2\\..*"]))
    assert (found["layers.0.0.weight"][0], found["layers.4.0.weight"][0]) == (32, 48)
    assert found["layers.2.0.weight"][0] < 48
    assert shapes(cut(Chain, channels=0.4, exclude=["layers.0"]))["layers.0.0.weight"][0] == 32


def test_state_before_pruning_is_untouched() -> None:
    state = state_of(Residual)
    before = {name: value.clone() for name, value in state.graph.state_dict().items()}
    cut(Residual, macs=0.7)
    assert all(torch.equal(value, before[name]) for name, value in state.graph.state_dict().items())


def test_cut_twice_still_runs_at_any_batch_and_places_keep_their_names() -> None:
    once = cut(SoftmaxOverChannels)
    twice = prune(once.state, Prune(macs=0.3, round_to=4), generator=torch.Generator())
    with torch.no_grad():
        assert twice.state.graph(ITEMS).shape == (6, 5)
        assert twice.state.graph(ITEMS[:1]).shape == (1, 5)
    assert len(twice.state.edits) == 2
    assert len({one.reason for one in twice.state.frozen}) == 1


def test_several_steps_reach_what_one_does() -> None:
    pruned = cut(Residual, steps=3)
    assert 0.45 <= pruned.removed["macs"] <= 0.55
    assert len(pruned.state.edits) == 1


def test_each_layer_loses_about_the_same_share_when_the_scope_is_a_layer() -> None:
    found = shapes(cut(Chain, channels=0.5, round_to=1, scope="layer"))
    left = [found[f"layers.{place}.0.weight"][0] / width for place, width in ((0, 32), (2, 48), (4, 48))]
    assert max(left) - min(left) < 0.1


def test_masks_are_cut_with_their_weights() -> None:
    state = state_of(Chain)
    weight = named_tensor(state.graph, "layers.2.0.weight")
    mask = weight.detach().abs() > 0.02
    pruned = prune(
        dataclasses.replace(state, masks={"layers.2.0.weight": mask}), Prune(macs=0.5), generator=torch.Generator()
    )
    left = named_tensor(pruned.state.graph, "layers.2.0.weight")
    assert torch.equal(pruned.state.masks["layers.2.0.weight"], left.abs() > 0.02)


def test_tensors_are_contiguous_after_the_cut() -> None:
    graph = cut(Concatenated).state.graph
    assert all(value.is_contiguous() for value in graph.state_dict().values())


def test_model_without_inner_channels_is_left_as_it_is_and_that_is_said() -> None:
    state = prunable_state(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)))
    pruned = prune(state, Prune(macs=0.5), generator=torch.Generator())
    assert pruned.removed["macs"] == 0.0
    assert any("cannot be removed" in note for note in pruned.notes)


@pytest.mark.parametrize(
    "importance",
    ["magnitude", "group_magnitude", "lamp", "batch_norm_scale", "fpgm", "taylor", "hessian", "activation"],
)
def test_every_criterion_prunes_the_channels_that_are_nothing(importance: str) -> None:
    state = dataclasses.replace(state_of(Chain), graph=state_of(Chain).copied_graph(), cache={})
    with torch.no_grad():
        for name in ("layers.2.0.weight", "layers.2.1.weight", "layers.2.1.bias"):
            named_tensor(state.graph, name)[8:32] = 0.0
        named_tensor(state.graph, "layers.2.1.running_mean")[8:32] = 0.0
        named_tensor(state.graph, "layers.4.0.weight")[:, 8:32] *= 1e-3
    targets = torch.arange(len(ITEMS)) % 5
    evidence = Evidence(
        calibration=lambda: [(ITEMS,)],
        training=lambda: [(ITEMS, targets)],
        loss=lambda graph, batch: nn.functional.cross_entropy(graph(batch[0]), batch[1]),
    )
    stage = Prune(macs=0.2, importance=importance, targets=("layers.2",))
    pruned = prune(state, stage, evidence=evidence, generator=torch.Generator())
    kept = named_tensor(pruned.state.graph, "layers.2.0.weight")
    removed, nothing_left = 48 - len(kept), int(kept.flatten(1).norm(dim=1).eq(0).sum())
    assert removed >= 8
    if importance != "fpgm":  # there the zeros are alike, so that their distance is to the others
        assert 24 - nothing_left >= 0.9 * removed  # a filter may be dead on these items though its weights are not


@pytest.mark.parametrize("importance", ["taylor", "activation"])
def test_criterion_that_needs_data_says_so_before_any_work(importance: str) -> None:
    with pytest.raises(UsageError, match=f"importance {importance} without"):
        cut(Chain, importance=importance)


def test_batch_norm_statistics_are_estimated_anew_from_calibration() -> None:
    pruned = cut(Chain, evidence=Evidence(calibration=lambda: iter([(ITEMS[:2],), (ITEMS[2:],)])))
    assert not pruned.state.batch_norm_dirty
    graph = pruned.state.graph
    weight, mean = named_tensor(graph, "layers.0.0.weight"), named_tensor(graph, "layers.0.1.running_mean")
    outputs = nn.functional.conv2d(ITEMS, weight, padding=1)
    assert torch.allclose(mean, outputs.mean((0, 2, 3)), atol=1e-5)
    assert cut(Chain).state.batch_norm_dirty


def test_random_importance_follows_its_generator() -> None:
    def kept(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        pruned = prune(state_of(Chain), Prune(macs=0.5, importance="random"), generator=generator)
        return named_tensor(pruned.state.graph, "layers.0.0.weight")

    assert torch.equal(kept(1), kept(1))
    assert not torch.equal(kept(1), kept(2))
