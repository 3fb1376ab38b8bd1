# SPDX-License-Identifier: Apache-2.0
"""The exported carrier: what it keeps of a model, how it switches to training, what it refuses."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress.carrier import export_model, set_training
from edgectl.compress.mac_count import macs
from edgectl.compress.state import ModelState, parameter_count
from edgectl_protos.errors import CompileError
from torch import Tensor, nn

from tests.prunable_models import ITEM_SHAPE, Chain, TransformerEncoder

EXAMPLE = (torch.randn(1, *ITEM_SHAPE, generator=torch.Generator().manual_seed(0)),)
BATCH = torch.randn(7, *ITEM_SHAPE, generator=torch.Generator().manual_seed(1))


class Normed(nn.Module):
    """Dropout and batch norm whose literals are not the defaults."""

    def __init__(self, momentum: float | None = 0.25) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, eps=0.01, momentum=momentum)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(192, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.norm(inputs)).flatten(1))
        return logits


class BranchesOnValues(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) if inputs.sum() > 0 else -inputs.flatten(1)


class FixedBatch(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.view(2, -1)


def literals(graph: torch.fx.GraphModule, operator: str) -> tuple[object, ...]:
    return next(tuple(node.args) for node in graph.graph.nodes if str(node.target) == operator)


def test_export_computes_what_the_model_does_at_any_batch() -> None:
    model = Chain().eval()
    graph = export_model(model, EXAMPLE)
    for items in (BATCH[:1], BATCH[:2], BATCH):
        assert torch.allclose(graph(items), model(items), atol=1e-6)


def test_training_keeps_the_models_own_dropout_and_batch_norm_literals() -> None:
    graph = export_model(Normed(), EXAMPLE)
    set_training(graph, training=True)
    assert literals(graph, "aten.dropout.default")[1:] == (0.2, True)
    assert literals(graph, "aten.batch_norm.default")[5:8] == (True, 0.25, 0.01)
    set_training(graph, training=False)
    assert literals(graph, "aten.dropout.default")[1:] == (0.2, False)
    assert literals(graph, "aten.batch_norm.default")[5:8] == (False, 0.25, 0.01)


def test_training_graph_is_the_model_in_training_mode() -> None:
    model = Normed()
    graph = export_model(model, EXAMPLE)
    set_training(graph, training=True)
    model.train()
    outputs = []
    for module in (model, graph):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            outputs.append(module(BATCH))
    assert torch.allclose(outputs[0], outputs[1], atol=1e-6)
    running = dict(graph.named_buffers())["norm.running_mean"]
    assert torch.allclose(running, model.norm.running_mean, atol=1e-6)  # type: ignore[arg-type]


def test_cumulative_batch_norm_still_updates_its_statistics() -> None:
    graph = export_model(Normed(momentum=None), EXAMPLE)
    set_training(graph, training=True)
    graph(BATCH + 5)
    assert float(dict(graph.named_buffers())["norm.running_mean"].abs().max()) > 0.1


@pytest.mark.parametrize("kind", [BranchesOnValues, FixedBatch])
def test_model_that_cannot_be_exported_is_one_line(kind: type[nn.Module]) -> None:
    with pytest.raises(CompileError) as caught:
        export_model(kind(), EXAMPLE)
    message = str(caught.value)
    assert message.startswith(f"{kind.__name__} cannot be exported")
    assert "\n" not in message
    assert len(message) < 600


def test_batch_norm_counters_do_not_reach_the_graph() -> None:
    graph = export_model(Chain(), EXAMPLE)
    assert not any("num_batches_tracked" in str(node.target) for node in graph.graph.nodes)


def test_parameters_and_macs_agree_with_a_count_by_hand() -> None:
    state = ModelState(export_model(Normed(), EXAMPLE), EXAMPLE)
    assert parameter_count(state) == 3 + 3 + 192 * 5 + 5
    assert macs(state) == 192 * 5
    chain = ModelState(export_model(Chain(), EXAMPLE), EXAMPLE)
    assert macs(chain) == 64 * 27 * 32 + 16 * 9 * 32 * 48 + 16 * 9 * 48 * 48 + 48 * 5


def test_attention_counts_its_products() -> None:
    state = ModelState(export_model(TransformerEncoder(), EXAMPLE), EXAMPLE)
    linear = 8 * (24 * 32 + 32 * 96 + 32 * 32 + 2 * 32 * 64) + 32 * 5
    assert macs(state) == linear + 2 * 8 * 8 * 32  # scores and their use: tokens x tokens x width each
