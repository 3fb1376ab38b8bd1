# SPDX-License-Identifier: Apache-2.0
"""Whole recipes on a tiny task: every stage learns or measures what it says, and repeats exactly."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from edgectl.compress.data.feeds import Batch, SplitFeed, TrainingFeed
from edgectl.compress.data.splits import DataSplits
from edgectl.compress.materialize import materialize, predict
from edgectl.compress.pipeline import SilentObserver, StageResult, run_stages, state_of
from edgectl.compress.stages import (
    Distill,
    Finetune,
    Prune,
    Quantize,
    Stage,
    StageParameters,
    name_stages,
)
from edgectl.compress.state import ModelState
from edgectl.compress.training import distill as distillation
from edgectl.compress.training.distill import DistillationLoss, Teacher
from edgectl.cores import NEVER_PAUSED, Work
from edgectl_protos.errors import CompileError, InputError, UsageError
from torch import nn
from torch.nn import functional

from tests.prunable_models import CLASSES, ITEM_SHAPE, Chain

TRAIN = Finetune(epochs=6, learning_rate=0.01, batch_size=32)
PRUNE = Prune(macs=0.5)
DISTILL = Distill(epochs=3, learning_rate=0.005, batch_size=32)
QUANTIZE = Quantize(calibration_items=64)


@cache
def splits() -> DataSplits:
    """Five blurred patterns under noise."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(CLASSES, *ITEM_SHAPE, generator=generator)

    def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        targets = torch.arange(count) % CLASSES
        return patterns[targets] + 0.9 * torch.randn(count, *ITEM_SHAPE, generator=generator), targets

    train, test = drawn(160), drawn(100)
    return DataSplits(*train, *test, tuple("abcde"))


def chain() -> ModelState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return state_of(Chain(), splits())


def stages(*steps: StageParameters) -> tuple[Stage, ...]:
    return name_stages(list(steps))


@cache
def full_run() -> tuple[StageResult, ...]:
    plan = stages(TRAIN, PRUNE, DISTILL, QUANTIZE)
    return tuple(run_stages(chain(), splits(), plan, seed=0, observer=SilentObserver()))


def test_every_stage_is_measured_by_itself() -> None:
    baseline, trained, pruned, distilled, quantized = full_run()
    assert [result.name for result in full_run()] == ["baseline", "finetune", "prune", "distill", "quantize"]
    assert trained.metrics["accuracy"] > baseline.metrics["accuracy"] + 0.3
    assert (trained.parameters, trained.macs) == (baseline.parameters, baseline.macs)
    assert 0.45 * trained.macs <= pruned.macs <= 0.55 * trained.macs
    assert pruned.parameters < trained.parameters
    assert (distilled.parameters, distilled.macs) == (pruned.parameters, pruned.macs)
    assert distilled.metrics["accuracy"] >= pruned.metrics["accuracy"]
    assert distilled.metrics["accuracy"] > 0.8
    assert abs(quantized.metrics["accuracy"] - distilled.metrics["accuracy"]) <= 0.05
    for result in full_run():
        assert result.correct is not None
        assert result.correct.dtype == np.bool_
        assert result.correct.shape == (100,)
        assert result.accuracy == pytest.approx(result.correct.mean())
    assert any("removed" in note for note in pruned.notes)
    assert len(quantized.state.edits) == 4


def test_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    def weights(seed: int) -> torch.Tensor:
        results = list(run_stages(chain(), splits(), stages(TRAIN), seed=seed, observer=SilentObserver()))
        return torch.cat([value.flatten() for value in results[-1].state.graph.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    list(run_stages(chain(), splits(), stages(TRAIN, PRUNE), seed=0, observer=SilentObserver()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_small_steps_train_on_one_thread_and_the_setting_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    list(run_stages(chain(), splits(), stages(TRAIN), seed=0, observer=SilentObserver()))
    assert asked == [1, 2]


def test_training_leaves_the_state_before_it_untouched() -> None:
    state = chain()
    before = {name: value.clone() for name, value in state.graph.state_dict().items()}
    list(run_stages(state, splits(), stages(TRAIN), seed=0, observer=SilentObserver()))
    assert all(torch.equal(value, before[name]) for name, value in state.graph.state_dict().items())


def test_teacher_is_the_trained_model_before_it_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelState] = []

    class Watched(Teacher):
        def __init__(self, state: ModelState, feed: TrainingFeed, *, work: Work = NEVER_PAUSED) -> None:
            asked.append(state)
            super().__init__(state, feed, work=work)

    monkeypatch.setattr(distillation, "Teacher", Watched)
    results = list(run_stages(chain(), splits(), stages(TRAIN, PRUNE, DISTILL), seed=0, observer=SilentObserver()))
    assert asked == [results[1].state]


def test_observer_hears_of_every_step() -> None:
    class Recorder(SilentObserver):
        def __init__(self) -> None:
            self.started: list[tuple[str, int]] = []
            self.losses: list[float] = []
            self.finished: list[str] = []

        def stage_started(self, name: str, steps: int) -> None:
            self.started.append((name, steps))

        def stage_advanced(self, loss: float) -> None:
            self.losses.append(loss)

        def stage_finished(self, result: StageResult) -> None:
            self.finished.append(result.name)

    seen = Recorder()
    list(run_stages(chain(), splits(), stages(TRAIN, PRUNE), seed=0, observer=seen))
    assert seen.started == [("baseline", 0), ("finetune", 6 * 5), ("prune", 0)]
    assert len(seen.losses) == 30
    assert seen.losses[-1] < seen.losses[0]
    assert seen.finished == ["baseline", "finetune", "prune"]


def test_prediction_and_lowering_see_the_same_int8_numbers() -> None:
    state = full_run()[-1].state
    items = splits().test_inputs[:5]
    lowered = materialize(state)
    one_by_one = torch.cat([lowered(item[None]) for item in items])
    assert torch.equal(predict(state, items), one_by_one)
    assert any("quantize_per_tensor" in str(node.target) for node in lowered.graph.nodes)
    assert not torch.equal(predict(state, items), predict(full_run()[-2].state, items))


def test_trained_float_graph_materializes_in_eval_mode() -> None:
    state = full_run()[1].state
    items = splits().test_inputs[:3]
    lowered = materialize(state)
    assert torch.allclose(torch.cat([lowered(item[None]) for item in items]), predict(state, items), atol=1e-5)


def test_distillation_loss_is_hintons() -> None:
    state, data = chain(), splits()
    feed = SplitFeed(data)
    student = torch.randn(2, CLASSES, generator=torch.Generator().manual_seed(1))
    rows = torch.tensor([3, 1])
    batch = Batch((data.train_inputs[rows],), data.train_targets[rows], rows)
    teacher = predict(state, data.train_inputs)
    seen = DistillationLoss(Teacher(state, feed), feed, temperature=2.0, alpha=0.25)(student, batch)
    wanted, given = (teacher[rows] / 2).softmax(1), (student / 2).softmax(1)
    divergence = (wanted * (wanted / given).log()).sum(1).mean()
    expected = 0.25 * 4 * divergence + 0.75 * functional.cross_entropy(student, batch.targets)
    assert torch.allclose(seen, expected, atol=1e-6)


def test_loss_that_explodes_is_one_compile_error() -> None:
    wild = Finetune(epochs=20, learning_rate=10.0, batch_size=32, optimizer="sgd")
    layers = [nn.Linear(192, 64), nn.Linear(64, 64), nn.Linear(64, CLASSES)]  # no ReLU that could die first
    state = state_of(nn.Sequential(nn.Flatten(), *layers), splits())
    with pytest.raises(CompileError, match="smaller learning_rate"):
        list(run_stages(state, splits(), stages(wild), seed=0, observer=SilentObserver()))


def test_distilling_after_quantize_trains_what_is_quantized() -> None:
    """Not the same as distilling first: the student's errors are those of its rounded weights."""
    plan = stages(TRAIN, PRUNE, QUANTIZE, DISTILL)
    *_, quantized, distilled = run_stages(chain(), splits(), plan, seed=0, observer=SilentObserver())
    assert distilled.state.quantization is not None
    assert distilled.metrics["accuracy"] >= quantized.metrics["accuracy"]
    before, after = (dict(result.state.graph.named_parameters()) for result in (quantized, distilled))
    assert before.keys() == after.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before if before[name].ndim > 1)


def test_pruning_after_quantize_measures_the_ranges_again() -> None:
    plan = stages(TRAIN, QUANTIZE, PRUNE)
    *_, quantized, pruned = run_stages(chain(), splits(), plan, seed=0, observer=SilentObserver())
    assert pruned.macs <= 0.56 * quantized.macs
    assert pruned.state.quantization.calibrated
    assert pruned.state.quantization.ranges != quantized.state.quantization.ranges


def test_bound_on_the_loss_is_held_and_told() -> None:
    plan = stages(TRAIN, Quantize(calibration_items=64, max_degradation=2.0))
    *_, trained, quantized = run_stages(chain(), splits(), plan, seed=0, observer=SilentObserver())
    assert quantized.metrics["accuracy"] >= trained.metrics["accuracy"] - 0.02
    assert any("points lost, within 2" in note for note in quantized.notes)


def test_distilling_what_nothing_has_trained_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="put finetune before it"):
        run_stages(chain(), splits(), stages(DISTILL), seed=0, observer=SilentObserver())


def test_operators_left_out_of_the_macs_are_named_in_the_notes() -> None:
    class Paired(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bilinear = nn.Bilinear(192, 192, CLASSES)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            flat = inputs.flatten(1)
            paired: torch.Tensor = self.bilinear(flat, flat + 1)
            return paired

    results = run_stages(state_of(Paired(), splits()), splits(), (), seed=0, observer=SilentObserver())
    assert next(results).notes == ("MACs do not count operators without a rule: aten.bilinear.default (1)",)


def test_model_with_another_number_of_classes_is_refused() -> None:
    with pytest.raises(CompileError, match=r"gives \[1, 4\] for one item; expected \[1, 5\]"):
        state_of(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), splits())


def test_items_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[3, 8, 9\]"):
        predict(chain(), torch.zeros(2, 3, 8, 9))
