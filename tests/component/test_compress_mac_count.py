# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates against a count by hand, and the names of what was not counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.mac_count import MacCount, count_macs
from edgectl.compress.state import ModelState
from torch import nn

from tests.prunable_models import ITEM_SHAPE, Chain, TransformerEncoder

IMAGE = torch.zeros(1, 3, 8, 8)
LINE = torch.zeros(1, 6, 4)


class Computed(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.function(inputs)


class Sequence(nn.Module):
    """What a recurrent layer gives, without its state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(inputs)[0]
        return outputs


def counted(module: nn.Module, example: torch.Tensor) -> MacCount:
    """Exported as it is: recurrent layers write the batch into the graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = torch.export.export(module.eval(), (example,)).module(check_guards=False)
    return count_macs(ModelState(graph, (example,)))


@pytest.mark.parametrize(
    ("module", "example", "macs"),
    [
        (nn.ConvTranspose1d(6, 5, 3), LINE, 4 * 6 * 5 * 3),
        (nn.ConvTranspose3d(3, 5, 2, groups=1), torch.zeros(1, 3, 2, 3, 4), 24 * 3 * 5 * 8),
        (Computed(lambda x: torch.einsum("bti,bsi->bts", x, x)), LINE, 6 * 6 * 4),
        (Computed(lambda x: torch.einsum("...i,ij->...j", x, torch.ones(4, 7))), LINE, 6 * 4 * 7),
        (Computed(lambda x: torch.einsum("bti->bit", x)), LINE, 0),
        (Computed(lambda x: torch.baddbmm(torch.zeros(1), x, x.transpose(1, 2))), LINE, 6 * 6 * 4),
        (Computed(lambda x: torch.mv(x[0], torch.ones(4))), LINE, 6 * 4),
        (Sequence(nn.GRU(4, 5, batch_first=True)), LINE, 6 * 3 * 5 * (4 + 5)),
        (Sequence(nn.LSTM(4, 5, num_layers=2)), LINE, 6 * (4 * 5 * (4 + 5) + 4 * 5 * (5 + 5))),
        (Sequence(nn.RNN(4, 5, bidirectional=True)), LINE, 6 * 2 * 5 * (4 + 5)),
    ],
    ids=["transposed 1d", "transposed 3d", "einsum", "ellipsis", "transpose", "baddbmm", "mv", "gru", "lstm", "rnn"],
)
def test_operator_counts_as_by_hand(module: nn.Module, example: torch.Tensor, macs: int) -> None:
    assert counted(module, example) == MacCount(macs, {})


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: torch.einsum("bti,bsi,bui->bts", x, x, x), "aten.einsum.default"),
        (lambda x: torch.cdist(x, x + 1), "aten.cdist.default"),
        (lambda x: torch.addbmm(torch.zeros(6, 6), x, x.transpose(1, 2)), "aten.addbmm.default"),
    ],
)
def test_operator_without_a_rule_is_named(function: Callable[[torch.Tensor], torch.Tensor], name: str) -> None:
    count = counted(Computed(function), LINE)
    assert count == MacCount(0, {name: 1})
    assert count.notes == (f"MACs do not count operators without a rule: {name} (1)",)


def test_block_without_gradients_is_named_for_its_inside_is_not_seen() -> None:
    def function(inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return inputs @ inputs.transpose(1, 2)

    assert counted(Computed(function), LINE) != MacCount(0, {})


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x, x]) + torch.stack([x, x]).sum(0),
        lambda x: torch.where(x > 0, x, -x) * torch.maximum(x, x).softmax(-1),
        lambda x: nn.functional.layer_norm(x, (6, 4), torch.ones(6, 4), torch.zeros(6, 4)).expand_as(x),
    ],
)
def test_operators_that_only_move_or_scale_values_are_not_named(
    function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    assert counted(Computed(function), LINE) == MacCount(0, {})


@pytest.mark.parametrize("kind", [Chain, TransformerEncoder])
def test_usual_models_are_counted_whole(kind: type[nn.Module]) -> None:
    example = (torch.zeros(1, *ITEM_SHAPE),)
    assert count_macs(ModelState(export_model(kind(), example).graph, example)).notes == ()
