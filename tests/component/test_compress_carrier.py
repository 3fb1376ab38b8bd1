# SPDX-License-Identifier: Apache-2.0
"""The exported carrier: what it keeps of a model, how it switches to training, what it refuses."""

from __future__ import annotations

from typing import Any

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


class Tagger(nn.Module):
    """Tokens, a mask and a constant by keyword; a dictionary with a tuple inside comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(10, 6), nn.Linear(6, 5)

    def forward(
        self, tokens: Tensor, *, mask: Tensor | None = None, scale: float = 1.0
    ) -> dict[str, Tensor | tuple[Tensor, ...]]:
        states = self.embedding(tokens) * scale
        if mask is not None:
            states = states.masked_fill(~mask.unsqueeze(-1), 0.0)
        return {"logits": self.head(states), "states": (states,)}


class FixedBatch(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.view(2, -1)


def literals(graph: torch.fx.GraphModule, operator: str) -> tuple[object, ...]:
    return next(tuple(node.args) for node in graph.graph.nodes if str(node.target) == operator)


def test_export_computes_what_the_model_does_at_any_batch() -> None:
    model = Chain().eval()
    graph = export_model(model, EXAMPLE).graph
    for items in (BATCH[:1], BATCH[:2], BATCH):
        assert torch.allclose(graph(items), model(items), atol=1e-6)


def test_training_keeps_the_models_own_dropout_and_batch_norm_literals() -> None:
    graph = export_model(Normed(), EXAMPLE).graph
    set_training(graph, training=True)
    assert literals(graph, "aten.dropout.default")[1:] == (0.2, True)
    assert literals(graph, "aten.batch_norm.default")[5:8] == (True, 0.25, 0.01)
    set_training(graph, training=False)
    assert literals(graph, "aten.dropout.default")[1:] == (0.2, False)
    assert literals(graph, "aten.batch_norm.default")[5:8] == (False, 0.25, 0.01)


def test_training_graph_is_the_model_in_training_mode() -> None:
    model = Normed()
    graph = export_model(model, EXAMPLE).graph
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
    graph = export_model(Normed(momentum=None), EXAMPLE).graph
    set_training(graph, training=True)
    graph(BATCH + 5)
    assert float(dict(graph.named_buffers())["norm.running_mean"].abs().max()) > 0.1


def test_model_that_branches_on_values_is_refused_in_one_line_that_names_its_source() -> None:
    with pytest.raises(CompileError) as caught:
        export_model(BranchesOnValues(), EXAMPLE)
    message = str(caught.value)
    assert message.startswith("BranchesOnValues cannot be exported, at test_compress_carrier.py:")
    assert "`return inputs.flatten(1) if inputs.sum() > 0" in message
    assert "torch.where" in message
    assert "\n" not in message
    assert len(message) < 800


def test_model_that_does_not_take_its_example_says_where_it_failed() -> None:
    with pytest.raises(CompileError, match=r"Chain does not take its example inputs \(float32 \[1, 4, 8, 8\]\)"):
        export_model(Chain(), (torch.zeros(1, 4, 8, 8),))


def test_model_that_fixes_its_batch_is_exported_at_the_examples_own() -> None:
    example = torch.cat([EXAMPLE[0], EXAMPLE[0]])
    carrier = export_model(FixedBatch(), (example,))
    assert not carrier.dynamic_batch
    assert carrier.example_inputs[0].shape == example.shape
    assert carrier.graph(example).shape == (2, 192)
    assert any("batch is fixed at 2" in note for note in carrier.notes)


def test_example_of_a_larger_batch_becomes_one_item() -> None:
    carrier = export_model(Chain(), (BATCH,))
    assert carrier.dynamic_batch
    assert carrier.example_inputs[0].shape == (1, *ITEM_SHAPE)


def test_tokens_masks_keywords_and_named_outputs_go_through() -> None:
    model = Tagger().eval()
    tokens = torch.tensor([[1, 5, 2, 7]])
    mask = torch.tensor([[True, True, True, False]])
    carrier = export_model(model, (tokens,), {"mask": mask, "scale": 2.0})
    assert [tensor.dtype for tensor in carrier.example_inputs] == [torch.int64, torch.bool]
    assert {name for name, _ in carrier.graph.named_parameters()} == {name for name, _ in model.named_parameters()}
    for batch in (1, 3):
        given = (tokens.repeat(batch, 1), mask.repeat(batch, 1))
        seen, expected = carrier.graph(*given), model(given[0], mask=given[1], scale=2.0)
        assert set(seen) == {"logits", "states"}
        assert torch.allclose(seen["logits"], expected["logits"], atol=1e-6)
        assert torch.allclose(seen["states"][0], expected["states"][0], atol=1e-6)


@pytest.mark.parametrize("normalise", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_weight_norm_becomes_a_plain_weight_and_the_model_keeps_its_own(normalise: Any) -> None:
    model = nn.Sequential(normalise(nn.Conv2d(3, 8, 3)), nn.ReLU())
    names = {name for name, _ in model.named_parameters()}
    graph = export_model(model, EXAMPLE).graph
    assert {name for name, _ in graph.named_parameters()} == {"0.weight", "0.bias"}
    assert {name for name, _ in model.named_parameters()} == names
    assert torch.allclose(graph(EXAMPLE[0]), model(EXAMPLE[0]), atol=1e-6)


def test_batch_norm_counters_do_not_reach_the_graph() -> None:
    graph = export_model(Chain(), EXAMPLE).graph
    assert not any("num_batches_tracked" in str(node.target) for node in graph.graph.nodes)


def test_parameters_and_macs_agree_with_a_count_by_hand() -> None:
    state = ModelState(export_model(Normed(), EXAMPLE).graph, EXAMPLE)
    assert parameter_count(state) == 3 + 3 + 192 * 5 + 5
    assert macs(state) == 192 * 5
    chain = ModelState(export_model(Chain(), EXAMPLE).graph, EXAMPLE)
    assert macs(chain) == 64 * 27 * 32 + 16 * 9 * 32 * 48 + 16 * 9 * 48 * 48 + 48 * 5


def test_attention_counts_its_products() -> None:
    state = ModelState(export_model(TransformerEncoder(), EXAMPLE).graph, EXAMPLE)
    linear = 8 * (24 * 32 + 32 * 96 + 32 * 32 + 2 * 32 * 64) + 32 * 5
    assert macs(state) == linear + 2 * 8 * 8 * 32  # scores and their use: tokens x tokens x width each
