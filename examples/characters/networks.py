# SPDX-License-Identifier: Apache-2.0
"""Classifiers of characters, float32 [N, 1, 32, 32] to [N, classes]: the shapes of papers on compression, in small.

None of them is the paper's own network, whose images were larger; the names say whose proportions they have.
"""

from __future__ import annotations

from torch import Tensor, nn

from examples.characters.characters import LABELS

_CLASSES = len(LABELS)


def lenet5_like(*, width: float = 1.0) -> nn.Module:
    """LeNet-5 as Han et al. (2015) count it, for 32x32: two convolutions and two linear layers."""
    first, second, hidden = round(20 * width), round(50 * width), round(500 * width)
    return nn.Sequential(
        *(nn.Conv2d(1, first, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(first, second, 5), nn.MaxPool2d(2), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(second * 25, hidden),
        nn.ReLU(),
        nn.Linear(hidden, _CLASSES),
    )


def alexnet_like(*, width: float = 1.0) -> nn.Module:
    """AlexNet's five convolutions and three linear layers, a quarter as wide, with strides for 32x32."""
    channels = [round(width * count) for count in (24, 64, 96, 64, 64)]
    hidden = round(512 * width)
    layers: list[nn.Module] = []
    before = 1
    for index, (count, kernel) in enumerate(zip(channels, (5, 5, 3, 3, 3), strict=True)):
        layers += [nn.Conv2d(before, count, kernel, padding=kernel // 2), nn.ReLU()]
        if index in {0, 1, 4}:
            layers.append(nn.MaxPool2d(2))
        before = count
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        *(nn.Dropout(0.3), nn.Linear(before * 16, hidden), nn.ReLU()),
        *(nn.Dropout(0.3), nn.Linear(hidden, hidden), nn.ReLU()),
        nn.Linear(hidden, _CLASSES),
    )


def vgg16_like(*, width: float = 0.5) -> nn.Module:
    """VGG-16 for 32x32 with batch norm; `width` 0.5 is half its channels."""
    plan = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
    layers: list[nn.Module] = []
    before = 1
    for count in plan:
        if count == 0:
            layers.append(nn.MaxPool2d(2))
            continue
        channels = round(count * width)
        layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    hidden = round(512 * width)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        *(nn.Dropout(0.3), nn.Linear(before, hidden), nn.ReLU()),
        nn.Linear(hidden, _CLASSES),
    )


def residual(*, width: int = 16, blocks: int = 2) -> nn.Module:
    """A ResNet in three stages for 32x32 (He et al. 2016, section 4.2); with `blocks` 9 it is ResNet-56."""
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage in range(3):
        for block in range(blocks):
            channels = width * 2**stage
            layers.append(_Block(before, channels, stride=2 if stage > 0 and block == 0 else 1))
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, _CLASSES))


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        self.join = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        joined: Tensor = self.join(self.body(inputs) + self.shortcut(inputs))
        return joined
