# SPDX-License-Identifier: Apache-2.0
"""Metrics against values by hand."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress.evaluation.detection import Boxes, MeanAveragePrecision
from edgectl.compress.evaluation.metrics import (
    Accuracy,
    MeanIou,
    Metric,
    Regression,
    TextError,
    Verification,
    evaluate,
)
from edgectl_protos.errors import DatasetError
from torch import nn


def computed(metric: Metric, *batches: tuple[object, object]) -> dict[str, float]:
    for outputs, targets in batches:
        metric.update(outputs, targets)
    return dict(metric.compute())


def test_accuracy_over_batches_and_by_class() -> None:
    first = (torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]), torch.tensor([0, 1]))
    second = ({"logits": torch.tensor([[0.0, 1.0, 0.0]])}, torch.tensor([1]))
    assert computed(Accuracy(labels=("a", "b", "c")), first, second) == {
        "accuracy": pytest.approx(2 / 3),
        "accuracy.a": 1.0,
        "accuracy.b": 0.5,
    }
    assert computed(Accuracy(top=2), first) == {"top2_accuracy": 1.0}


def test_verification_of_embeddings_that_part_and_of_those_that_do_not() -> None:
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    identities = torch.tensor([0, 0, 1, 1])
    assert computed(Verification(), (apart, identities)) == {"eer": 0.0, "tar": 1.0}
    mixed = computed(Verification(), (apart, torch.tensor([0, 1, 0, 1])))
    assert mixed["eer"] >= 0.5
    assert mixed["tar"] == 0.0
    with pytest.raises(DatasetError, match="no pairs"):
        computed(Verification(), (apart, torch.tensor([0, 1, 2, 3])))


def test_mean_iou_by_hand() -> None:
    wanted = torch.tensor([[[0, 0], [1, 255]]])
    logits = nn.functional.one_hot(torch.tensor([[[0, 1], [1, 1]]]), 3).movedim(-1, 1).float()
    assert computed(MeanIou(classes=3), (logits, wanted)) == {"mean_iou": pytest.approx((1 / 2 + 1 / 2) / 2)}


def test_regression_by_hand() -> None:
    found = computed(Regression(), (torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0])))
    assert found == {"r2": pytest.approx(0.5), "error": pytest.approx(1 / 3)}


def test_text_errors_by_hand() -> None:
    found = computed(TextError(lambda outputs: outputs), (["hallo wrld", "b"], ["hello world", "b"]))
    assert found == {"character_error": pytest.approx(2 / 12), "word_error": pytest.approx(2 / 3)}


def boxes(*rows: tuple[float, float, float, float, int, float]) -> Boxes:
    table = torch.tensor(rows).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4].long(), table[:, 5])


def test_mean_average_precision_by_hand() -> None:
    wanted = boxes((0, 0, 10, 10, 0, 1), (20, 20, 30, 30, 0, 1), (0, 0, 4, 4, 1, 1))
    given = boxes(
        (0, 0, 10, 9, 0, 0.9),  # right
        (0, 0, 10, 10, 0, 0.8),  # the same once more: wrong
        (21, 20, 30, 30, 0, 0.7),  # right
        (2, 2, 6, 6, 1, 0.9),  # too little overlap
    )
    found = computed(MeanAveragePrecision(lambda outputs: outputs), ([given], [wanted]))
    assert found == {"map50": pytest.approx((0.5 * 1 + 0.5 * 2 / 3 + 0) / 2)}


def test_evaluation_goes_through_a_generator_again_each_time() -> None:
    batches = ((torch.eye(2), torch.tensor([0, 1])) for _ in range(2))
    judged = evaluate(Accuracy, batches)
    assert judged(nn.Identity()) == judged(nn.Identity()) == {"accuracy": 1.0}
    with pytest.raises(DatasetError, match="no batch"):
        evaluate(Accuracy, [])(nn.Identity())
