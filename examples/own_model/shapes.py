# SPDX-License-Identifier: Apache-2.0
"""A model and data of one's own, as a recipe wants them: two functions. The images are synthetic."""

from __future__ import annotations

import numpy as np
from torch import nn

LABELS = ("disc", "square", "cross")
SIDE = 16


def build_model(*, width: int = 16) -> nn.Module:
    """Takes float32 [N, 1, 16, 16], gives float32 [N, 3] logits."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, len(LABELS)),
    )


def load_data() -> dict[str, object]:
    """600 noisy drawings of discs, squares and crosses; the last 150 are for testing."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    images, targets = [], []
    for index in range(600):
        kind = index % len(LABELS)
        middle, size = rng.integers(6, 10, size=2), rng.integers(3, 6)
        down, across = np.abs(rows - middle[0]), np.abs(columns - middle[1])
        drawn = (
            down**2 + across**2 <= size**2,
            np.maximum(down, across) <= size,
            (np.minimum(down, across) <= 1) & (np.maximum(down, across) <= size),
        )[kind]
        images.append(drawn + rng.normal(0, 0.2, (SIDE, SIDE)))
        targets.append(kind)
    inputs = np.stack(images)[:, np.newaxis].astype(np.float32)
    labels = np.array(targets, dtype=np.int64)
    return {
        "train_inputs": inputs[:450],
        "train_targets": labels[:450],
        "test_inputs": inputs[450:],
        "test_targets": labels[450:],
        "labels": LABELS,
    }
