# SPDX-License-Identifier: Apache-2.0
"""The demo's model and data: a small CNN and the 1,797 handwritten digits that ship with scikit-learn.

The digits are real scans, 8x8 pixels (Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits). They
are few and easy: they show that the road is whole, not what a compression technique is worth on a hard task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgectl.compress.data import DataSplits

FOLDS = 5
IMAGE_SHAPE = (1, 8, 8)


def build_model(*, width: int = 32, depth: int = 2) -> nn.Module:
    """Three resolutions (8x8, 4x4, 2x2) of `depth` 3x3 convolutions each, with `width`, 2 and 4 times `width` channels.

    Takes float32 [N, 1, 8, 8] in [0, 1], gives float32 [N, 10] logits. 288,170 parameters at the defaults.
    """
    from torch import nn

    layers: list[nn.Module] = []
    channels = 1
    for resolution in range(3):
        if resolution > 0:
            layers.append(nn.MaxPool2d(2))
        for _ in range(depth):
            wider = width * 2**resolution
            layers += [nn.Conv2d(channels, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
            channels = wider
    return nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(channels, 10))


def load_data() -> DataSplits:
    """The first of the five stratified folds: 1,437 scans to train on, 360 to test."""
    return load_fold(0)


def load_fold(index: int, *, seed: int = 0) -> DataSplits:
    """Fold `index` of five; every scan is in exactly one test split. Pixels are scaled from 0..16 to 0..1."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold

    from edgectl.compress.data import DataSplits

    digits = load_digits()
    folds = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=seed).split(digits.images, digits.target)
    train, test = list(folds)[index]
    inputs = torch.tensor(digits.images / 16.0, dtype=torch.float32).reshape(-1, *IMAGE_SHAPE)
    targets = torch.tensor(digits.target, dtype=torch.int64)
    return DataSplits(
        train_inputs=inputs[train],
        train_targets=targets[train],
        test_inputs=inputs[test],
        test_targets=targets[test],
        labels=tuple(str(name) for name in digits.target_names),
    )
