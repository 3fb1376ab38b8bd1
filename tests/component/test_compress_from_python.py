# SPDX-License-Identifier: Apache-2.0
"""The public interface over models of many forms: what goes in comes out smaller, and callable as before."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from edgectl.compress import Distill, Finetune, Pipeline, Prune, Quantize, Result, Sparsify
from edgectl_protos.errors import CompileError, DatasetError, InputError, UsageError
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from tests.prunable_models import CLASSES, ITEM_SHAPE, Chain, SoftmaxOverChannels

IMAGE = torch.randn(1, *ITEM_SHAPE, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(6, *ITEM_SHAPE, generator=torch.Generator().manual_seed(1))


class TwoTowers(nn.Module):
    """An image and token ids in, a mapping with a tuple out; one keyword argument."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1))
        self.words = nn.Embedding(50, 32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, image: Tensor, words: Tensor, *, scale: Tensor) -> dict[str, Any]:
        seen = self.image(image).relu().mean((2, 3))
        read = self.words(words).mean(1)
        return {"logits": self.head(seen + read) * scale, "parts": (seen, read)}


class FixedBatch(nn.Module):
    """Writes its batch of 1 into the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(192, 64), nn.Linear(64, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.second(self.first(inputs.reshape(1, 192)).relu())
        return logits


class Positions(nn.Module):
    """Reads an embedding at places computed from integers, as text models do."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(50, 32), nn.Linear(32, CLASSES)

    def forward(self, words: Tensor) -> Tensor:
        logits: Tensor = self.head(self.words(words * 2 + 1).mean(1))
        return logits


def batches(count: int = 3, size: int = 4) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    return [(torch.randn(size, *ITEM_SHAPE, generator=generator), torch.arange(size) % CLASSES) for _ in range(count)]


@cache
def compressed() -> Result:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Chain()
    stages = [Prune(macs=0.5), Sparsify(sparsity=0.6), Finetune(epochs=1), Quantize("int8"), Distill(epochs=1)]
    return Pipeline(stages).run(
        model,
        example_inputs=(IMAGE,),
        calibration=[inputs for inputs, _ in batches()],
        training=batches(),
        evaluation=lambda module: {"accuracy": 0.5, "peak": module(IMAGES).max()},
    )


def test_every_stage_has_its_row_as_plain_data() -> None:
    rows = compressed().stages
    assert [row["name"] for row in rows] == ["baseline", "prune", "sparsify", "finetune", "quantize", "distill"]
    assert json.loads(json.dumps(rows)) == list(rows)
    baseline, pruned, sparse, *_, last = rows
    assert 0.45 <= 1 - pruned["macs"] / baseline["macs"] <= 0.55
    assert pruned.parameters == pruned["parameters"] < baseline["parameters"]
    assert sparse["nonzeros"] < 0.45 * sparse["parameters"]
    assert last["nonzeros"] <= sparse["nonzeros"] + 300  # biases and norms have moved, masked weights have not
    assert all(set(row["metrics"]) == {"accuracy", "peak"} for row in rows)
    assert compressed().frozen == ()


def test_module_is_called_as_the_users_and_takes_any_batch() -> None:
    module = compressed().module
    assert module(IMAGES).shape == (6, CLASSES)
    assert torch.equal(module(IMAGES[:1]), module(IMAGES)[:1])
    with pytest.raises(InputError, match=r"input 0 is torch.float32 \[6, 3, 8\]"):
        module(IMAGES[..., 0])


def test_masks_survive_finetune_quantize_and_distill() -> None:
    state = compressed().state
    named = dict(state.graph.named_parameters())
    assert state.masks
    for name, mask in state.masks.items():
        assert mask.shape == named[name].shape
        assert not named[name][~mask].any()


def test_model_is_left_as_it_was() -> None:
    model = Chain()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Pipeline([Prune(macs=0.3)]).run(model, (IMAGE,))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_several_inputs_keywords_and_nested_outputs() -> None:
    image, words, scale = IMAGE, torch.arange(5)[None], torch.tensor([[2.0]])
    calibration = [((IMAGES, torch.randint(0, 50, (6, 5)), torch.ones(6, 1))) for _ in range(2)]
    model = TwoTowers()
    result = Pipeline([Prune(macs=0.4), Quantize("int8")]).run(
        model, (image, words), {"scale": scale}, calibration=calibration
    )
    assert result.stages[1]["macs"] < 0.65 * result.stages[0]["macs"]
    given = result.module(image, words, scale=scale)
    wanted = model(image, words, scale=scale)
    assert given.keys() == wanted.keys()
    assert given["logits"].shape == wanted["logits"].shape
    assert len(given["parts"]) == 2


def test_integers_that_places_are_computed_from_stay_integers() -> None:
    words = torch.randint(0, 20, (4, 6))
    result = Pipeline([Quantize("int8")]).run(Positions(), (words[:1],), calibration=[(words,)])
    assert result.frozen == ()
    assert result.module(words).shape == (4, CLASSES)


def test_fixed_batch_runs_at_its_own_and_says_so() -> None:
    result = Pipeline([Quantize("int8")]).run(FixedBatch(), (IMAGE,), calibration=[(IMAGES,)])
    assert "the size of the batch is fixed at 1" in " ".join(result.stages[0]["notes"])
    assert result.module(IMAGES).shape == (6, CLASSES)


def test_generator_is_gone_through_once_and_a_bare_tensor_is_one_input() -> None:
    seen = 0

    def once() -> Iterator[Tensor]:
        nonlocal seen
        for inputs, _ in batches(5):
            seen += 1
            yield inputs

    Pipeline([Quantize(calibration_items=8), Prune(macs=0.3)]).run(Chain(), IMAGE, calibration=once())
    assert seen == 5


def test_quantize_without_calibration_says_so_loudly() -> None:
    with pytest.warns(UserWarning, match="example inputs alone"):
        result = Pipeline([Quantize("int8")]).run(Chain(), (IMAGE,))
    assert any("example inputs alone" in note for note in result.stages[-1]["notes"])


def test_what_cannot_be_pruned_is_left_with_its_reason_and_the_rest_goes_on() -> None:
    result = Pipeline([Prune(macs=0.3), Quantize("int8")]).run(SoftmaxOverChannels(), (IMAGE,), calibration=[(IMAGES,)])
    assert [(one.place, one.channels) for one in result.frozen] == [("softmax", 32)]
    assert result.stages[-1]["macs"] < result.stages[0]["macs"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nothing = Pipeline([Prune(macs=0.5), Quantize("int8")]).run(nn.Linear(8, 4), (torch.randn(1, 8),))
    assert nothing.stages[-1]["macs"] == nothing.stages[0]["macs"]
    assert nothing.frozen[0].place == "(whole model)"
    assert "input or an output" in nothing.frozen[0].reason


@pytest.mark.parametrize(
    ("calibration", "part"),
    [
        (
            [(torch.zeros(2, 3, 9, 9),)],
            r"calibration batch 0, input 0 has shape \[2, 3, 9, 9\]; expected \[N, 3, 8, 8\]",
        ),
        ([(torch.zeros(2, 3, 8, 8, dtype=torch.int64),)], r"is torch.int64; expected torch.float32"),
        ([(torch.full((2, 3, 8, 8), float("nan")),)], "holds NaN"),
        ([(IMAGES, IMAGES)], "holds 2 tensors; expected 1"),
        ([], "holds no batch"),
        (5, "calibration data is a int"),
    ],
)
def test_calibration_that_does_not_fit_is_one_message(calibration: Any, part: str) -> None:
    with pytest.raises(DatasetError, match=part) as caught:
        Pipeline([Quantize("int8")]).run(Chain(), (IMAGE,), calibration=calibration)
    assert "\n" not in str(caught.value)


def test_calibration_of_another_range_is_told() -> None:
    with pytest.warns(UserWarning, match="is it scaled as the model expects"):
        result = Pipeline([Quantize("int8")]).run(Chain(), (IMAGE,), calibration=[(255 * IMAGES,)])
    assert any("scaled" in note for note in result.stages[0]["notes"])


def test_weights_that_are_not_numbers_are_refused() -> None:
    model = Chain()
    model.head.weight.data[0, 0] = float("nan")
    with pytest.raises(CompileError, match=r"head.weight holds NaN"):
        Pipeline([Quantize("int8")]).run(model, (IMAGE,))


def test_unknown_target_is_refused_with_the_nearest_before_anything_runs() -> None:
    called: list[nn.Module] = []

    def judged(module: nn.Module) -> float:
        called.append(module)
        return 0.0

    with pytest.raises(UsageError, match="prune: exclude: no 'haed' in this model; expected 'head'"):
        Pipeline([Prune(macs=0.5, exclude=("haed",))]).run(Chain(), (IMAGE,), evaluation=judged)
    assert called == []


def test_stage_that_learns_needs_training_data() -> None:
    with pytest.raises(UsageError, match="finetune: there is no training data"):
        Pipeline([Finetune(epochs=1)]).run(Chain(), (IMAGE,))


def test_users_own_loss_is_minimised() -> None:
    def far_from_seven(outputs: Tensor, _targets: Any) -> Tensor:
        return (outputs - 7).square().mean()

    result = Pipeline([Finetune(epochs=20, learning_rate=0.05)]).run(
        Chain(),
        (IMAGE,),
        training=batches(),
        loss=far_from_seven,
        evaluation=lambda module: (module(IMAGES) - 7).abs().mean(),
    )
    assert result.stages[1]["accuracy"] < 0.5 * result.stages[0]["accuracy"]


def test_masks_of_torchs_own_pruning_are_read_and_kept() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    torch_prune.l1_unstructured(model[1], "weight", amount=0.75)  # type: ignore[no-untyped-call]
    result = Pipeline([Finetune(epochs=2)]).run(model, (IMAGE,), training=batches())
    weight = dict(result.state.graph.named_parameters())["1.weight"]
    assert float((weight == 0).float().mean()) == pytest.approx(0.75, abs=0.001)
    assert hasattr(model[1], "weight_mask")


def test_result_can_be_gone_on_from() -> None:
    first = Pipeline([Prune(macs=0.3)]).run(Chain(), (IMAGE,))
    second = Pipeline([Quantize("int8")]).run(first, calibration=[(IMAGES,)])
    assert second.stages[0]["macs"] == first.stages[-1]["macs"]
    assert second.edits[0].startswith("prune")


def test_something_that_is_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="a str to compress"):
        Pipeline([Quantize("int8")]).run("model", (IMAGE,))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="example_inputs is a dict"):
        Pipeline([Quantize("int8")]).run(Chain(), {"inputs": IMAGE})  # type: ignore[arg-type]
