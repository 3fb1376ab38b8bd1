# SPDX-License-Identifier: Apache-2.0
"""The five models: plain torch, eval mode, random weights from a fixed seed.

They are written the way a user would write them, not the way one runtime likes them. Batch-norm statistics are those
of a batch of noise, so that activations keep a realistic spread through the depth of a network nobody has trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

SEED = 20261124
CALIBRATION_ITEMS = 16


@dataclass(frozen=True, slots=True)
class Builder:
    """What makes a model, and the shape of one float32 input item (without the batch)."""

    item: tuple[int, ...]
    make: Callable[[], nn.Module]


class Activated(nn.Sequential):
    """Convolution, batch norm, activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: str = "relu"
    ) -> None:
        padding = kernel // 2
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), _ACTIVATIONS[activation]())


_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "none": nn.Identity,
}


class Residual(nn.Module):
    """The basic block of ResNet-18 and -34."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Activated(inputs, outputs, 3, stride=stride), Activated(outputs, outputs, 3, activation="none")
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else Activated(inputs, outputs, 1, stride=stride, activation="none")

    def forward(self, image: Tensor) -> Tensor:
        return functional.relu(self.body(image) + self.shortcut(image))


class Inverted(nn.Module):
    """Expansion, depthwise convolution, optional gate, projection; added to the input where shapes allow."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, *, kernel: int, stride: int, activation: str, gated: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if middle != inputs:
            layers.append(Activated(inputs, middle, 1, activation=activation))
        layers.append(Activated(middle, middle, kernel, stride=stride, groups=middle, activation=activation))
        if gated:
            layers.append(Gate(middle, _multiple_of_8(middle / 4)))
        layers.append(Activated(middle, outputs, 1, activation="none"))
        self.body = nn.Sequential(*layers)
        self.added = stride == 1 and inputs == outputs

    def forward(self, image: Tensor) -> Tensor:
        given: Tensor = self.body(image)
        return image + given if self.added else given


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        squeezed = functional.relu(self.squeeze(self.pool(image)))
        return image * functional.hardsigmoid(self.excite(squeezed))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (self._by_head(projection(tokens)) for projection in (self.query, self.key, self.value))
        attended = functional.scaled_dot_product_attention(query, key, value)
        given: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return given

    def _by_head(self, tokens: Tensor) -> Tensor:
        batch, frames, width = tokens.shape
        return tokens.view(batch, frames, self.heads, width // self.heads).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        attended: Tensor = tokens + self.attention(self.attention_norm(tokens))
        given: Tensor = attended + self.feed(self.feed_norm(attended))
        return given


class Encoder(nn.Module):
    """Keyword spotting over 98 frames of 40 features."""

    def __init__(self, *, frames: int, features: int, width: int, heads: int, layers: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(features, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, frames, width))
        self.layers = nn.Sequential(*(EncoderLayer(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, frames: Tensor) -> Tensor:
        tokens = self.norm(self.layers(self.embedding(frames) + self.positions))
        scores: Tensor = self.head(tokens.mean(1))
        return scores


def _multiple_of_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def resnet18() -> nn.Module:
    layers: list[nn.Module] = [Activated(3, 64, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def mobilenet_v2() -> nn.Module:
    layers: list[nn.Module] = [Activated(3, 32, 3, stride=2, activation="relu6")]
    inputs = 32
    for expansion, outputs, repeats, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for index in range(repeats):
            step = stride if index == 0 else 1
            middle = inputs * expansion
            layers.append(Inverted(inputs, middle, outputs, kernel=3, stride=step, activation="relu6", gated=False))
            inputs = outputs
    layers += [Activated(inputs, 1280, 1, activation="relu6"), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1280, 1000))


def mobilenet_v3_small() -> nn.Module:
    layers: list[nn.Module] = [Activated(3, 16, 3, stride=2, activation="hardswish")]
    inputs = 16
    for kernel, middle, outputs, gated, activation, stride in (
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hardswish", 2),
        (5, 240, 40, True, "hardswish", 1),
        (5, 240, 40, True, "hardswish", 1),
        (5, 120, 48, True, "hardswish", 1),
        (5, 144, 48, True, "hardswish", 1),
        (5, 288, 96, True, "hardswish", 2),
        (5, 576, 96, True, "hardswish", 1),
        (5, 576, 96, True, "hardswish", 1),
    ):
        layers.append(
            Inverted(inputs, middle, outputs, kernel=kernel, stride=stride, activation=activation, gated=gated)
        )
        inputs = outputs
    layers += [Activated(inputs, 576, 1, activation="hardswish"), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 1000))


def ds_cnn() -> nn.Module:
    """The keyword-spotting network of MLPerf Tiny: 49 frames of 10 coefficients."""
    layers: list[nn.Module] = [
        nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    for _ in range(4):
        layers += [Activated(64, 64, 3, groups=64), Activated(64, 64, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def encoder() -> nn.Module:
    return Encoder(frames=98, features=40, width=192, heads=3, layers=4, classes=35)


BUILDERS = {
    "resnet18": Builder((3, 224, 224), resnet18),
    "mobilenet_v2": Builder((3, 224, 224), mobilenet_v2),
    "mobilenet_v3_small": Builder((3, 224, 224), mobilenet_v3_small),
    "ds_cnn": Builder((1, 49, 10), ds_cnn),
    "encoder": Builder((98, 40), encoder),
}


def build(name: str) -> nn.Module:
    """The model in eval mode; the same numbers for the same release of torch on the same kind of processor."""
    torch.manual_seed(SEED)
    module = BUILDERS[name].make()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None  # the plain average over what it sees
    module.train()
    with torch.no_grad():
        module(noise(BUILDERS[name].item, 8, seed=SEED + 1))
    return module.eval()


def load(assets: Path) -> nn.Module:
    """The model of an assets folder (see assets.py), with the weights kept there."""
    module = BUILDERS[(assets / "name.txt").read_text()].make()
    module.load_state_dict(torch.load(assets / "weights.pt", weights_only=True))
    return module.eval()


def noise(item: tuple[int, ...], items: int, *, seed: int) -> Tensor:
    """Float32 [items, ...], normally distributed."""
    return torch.randn(items, *item, generator=torch.Generator().manual_seed(seed))
