# SPDX-License-Identifier: Apache-2.0
"""A depthwise separable network for keywords, in the size of MLPerf Tiny's (Zhang et al. 2017, "Hello Edge")."""

from __future__ import annotations

from torch import nn

from examples.keywords.commands import LABELS


def ds_cnn(*, width: int = 64, blocks: int = 4) -> nn.Module:
    """Takes float32 [N, 1, 49, 10], gives float32 [N, 12] logits; at 64 and 4 it has 23 thousand parameters."""
    layers: list[nn.Module] = [
        nn.Conv2d(1, width, (10, 4), stride=2, padding=(5, 1), bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for _ in range(blocks):
        layers += [
            *(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        ]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(width, len(LABELS)),
    )
