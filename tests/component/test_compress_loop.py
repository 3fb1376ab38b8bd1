# SPDX-License-Identifier: Apache-2.0
"""A training loop of the user's own, with each technique in it."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress import Finetune, Prune, Quantize, Sparsify
from edgectl.compress.loop import Loop, prepare
from edgectl.compress.stages import StageParameters
from edgectl_protos.errors import StateError, UsageError
from torch.nn import functional

from tests.prunable_models import CLASSES, ITEM_SHAPE, Chain

IMAGE = torch.randn(1, *ITEM_SHAPE, generator=torch.Generator().manual_seed(0))
STEPS = 40


def trained(loop: Loop, steps: int = STEPS) -> list[dict[str, float]]:
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(loop.module.parameters(), lr=0.02, momentum=0.9)
    reports = []
    for _ in range(steps):
        inputs, targets = torch.randn(8, *ITEM_SHAPE, generator=generator), torch.arange(8) % CLASSES
        optimizer.zero_grad()
        functional.cross_entropy(loop.module(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if loop.step():
            optimizer = torch.optim.SGD(loop.module.parameters(), lr=0.02, momentum=0.9)
        reports.append(loop.report())
    return reports


@pytest.mark.parametrize("criterion", ["magnitude", "movement"])
def test_sparsity_rises_to_what_is_asked_and_stays(criterion: str) -> None:
    loop = prepare(Chain(), Sparsify(sparsity=0.8, criterion=criterion, epochs=1), (IMAGE,), steps=STEPS)
    nonzeros = [report["nonzeros"] for report in trained(loop)]
    assert nonzeros == sorted(nonzeros, reverse=True)
    assert len(set(nonzeros)) > 5
    result = loop.finalize()
    weights = [one for one in result.state.graph.parameters() if one.ndim > 1]
    zeros = sum(int((one == 0).sum()) for one in weights) / sum(one.numel() for one in weights)
    assert zeros == pytest.approx(0.8, abs=0.002)


def test_channels_go_in_parts_and_the_caller_is_told() -> None:
    loop = prepare(Chain(), Prune(macs=0.5, steps=3), (IMAGE,), steps=STEPS)
    macs = [report["macs"] for report in trained(loop)]
    assert len(set(macs)) == 4
    result = loop.finalize()
    assert 0.42 <= 1 - result.stages[-1]["macs"] / result.stages[0]["macs"] <= 0.55
    assert result.module(IMAGE).shape == (1, CLASSES)


def test_training_through_int8_moves_weights_and_ends_quantized() -> None:
    model = Chain()
    loop = prepare(model, Quantize("int8"), (IMAGE,), steps=STEPS, calibration=[torch.randn(8, *ITEM_SHAPE)])
    trained(loop, steps=5)
    result = loop.finalize()
    assert result.state.quantization is not None
    before = dict(model.named_parameters())
    assert not torch.equal(dict(result.state.graph.named_parameters())["head.weight"], before["head.weight"])


def test_early_end_still_reaches_what_was_asked() -> None:
    loop = prepare(Chain(), Sparsify(sparsity=0.5), (IMAGE,), steps=1000)
    trained(loop, steps=2)
    result = loop.finalize()
    assert result.stages[-1]["nonzeros"] < 0.55 * result.stages[0]["nonzeros"]


def test_module_switches_dropout_as_any_other() -> None:
    module = prepare(Chain(), Sparsify(sparsity=0.5), (IMAGE,), steps=10).module
    module.eval()
    assert torch.equal(module(IMAGE), module(IMAGE))
    module.train()
    inputs = torch.randn(8, *ITEM_SHAPE)
    assert not torch.equal(module(inputs), module(inputs))


@pytest.mark.parametrize(
    ("stage", "steps", "part"),
    [
        (Finetune(), 10, "a Finetune for a loop"),
        (Prune(p95_ms=3), 10, "needs a device or a loss"),
        (Quantize(), 0, "0 steps"),
        (Sparsify(sparsity=0.5, targets=("haed",)), 10, "expected 'head'"),
    ],
)
def test_what_a_loop_cannot_do_is_refused(stage: StageParameters, steps: int, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        prepare(Chain(), stage, (IMAGE,), steps=steps)  # type: ignore[arg-type]


def test_steps_after_the_end_are_refused() -> None:
    loop = prepare(Chain(), Sparsify(sparsity=0.5), (IMAGE,), steps=1)
    loop.finalize()
    with pytest.raises(StateError, match="finalized"):
        loop.step()
    with pytest.raises(StateError, match="finalized"):
        loop.finalize()
