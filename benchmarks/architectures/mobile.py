# SPDX-License-Identifier: Apache-2.0
"""Image classifiers for small devices, small, written as their authors write them: sizes are literals.

MobileNetV1 (Howard et al. 2017), V2 (Sandler et al. 2018), V3 (Howard et al. 2019), EfficientNet (Tan, Le 2019),
GhostNet (Han et al. 2020), ShuffleNet V1 (Zhang et al. 2018) and V2 (Ma et al. 2018), SqueezeNet (Iandola et al. 2016).
Inputs are [N, 3, 32, 32].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class MobileNetV1(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        def conv_dw(inputs: int, outputs: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
                nn.BatchNorm2d(inputs),
                nn.ReLU(inplace=True),
                nn.Conv2d(inputs, outputs, 1, 1, 0, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            )

        stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.model = nn.Sequential(
            stem, conv_dw(32, 64, 1), conv_dw(64, 96, 2), conv_dw(96, 96, 1), conv_dw(96, 160, 2), nn.AvgPool2d(4)
        )
        self.fc = nn.Linear(160, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.model(x)
        x = x.view(-1, 160)
        logits: Tensor = self.fc(x)
        return logits


def conv_bn(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation where asked for, projection."""

    def __init__(
        self, inputs: int, outputs: int, *, hidden: int, kernel: int, stride: int, act: type[nn.Module], squeeze: int
    ) -> None:
        super().__init__()
        self.use_res_connect = stride == 1 and inputs == outputs
        layers = [*conv_bn(inputs, hidden, 1), act()] if hidden != inputs else []
        layers += [*conv_bn(hidden, hidden, kernel, stride=stride, groups=hidden), act()]
        if squeeze:
            layers.append(SqueezeExcitation(hidden, squeeze))
        layers += conv_bn(hidden, outputs, 1)
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.use_res_connect else out


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, squeezed), nn.ReLU(inplace=True), nn.Linear(squeezed, channels), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = functional.adaptive_avg_pool2d(x, 1).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        scaled: Tensor = x * y.expand_as(x)
        return scaled


class Inverted(nn.Module):
    """A stem, inverted residuals and a last convolution: MobileNetV2, V3 and EfficientNet differ in these."""

    def __init__(self, settings: list[tuple[int, int, int, int, type[nn.Module], int]], act: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, 16, 3, stride=2), act())
        blocks, inputs = [], 16
        for hidden, outputs, kernel, stride, activation, squeeze in settings:
            blocks.append(
                InvertedResidual(
                    inputs, outputs, hidden=hidden, kernel=kernel, stride=stride, act=activation, squeeze=squeeze
                )
            )
            inputs = outputs
        self.features = nn.Sequential(*blocks)
        self.last = nn.Sequential(*conv_bn(inputs, 192, 1), act())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(192, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.features(self.stem(x)))
        x = functional.adaptive_avg_pool2d(x, 1).reshape(x.shape[0], -1)
        logits: Tensor = self.classifier(x)
        return logits


def mobilenet_v2() -> nn.Module:
    relu = nn.ReLU6
    settings = [(16, 16, 3, 1, relu, 0), (96, 24, 3, 2, relu, 0), (144, 24, 3, 1, relu, 0), (144, 40, 3, 2, relu, 0)]
    return Inverted([*settings, (240, 40, 3, 1, relu, 0)], relu)


def mobilenet_v3() -> nn.Module:
    relu, swish = nn.ReLU, nn.Hardswish
    settings = [(16, 16, 3, 2, relu, 8), (72, 24, 3, 1, relu, 0), (88, 24, 3, 1, relu, 0), (96, 40, 5, 2, swish, 24)]
    return Inverted([*settings, (240, 40, 5, 1, swish, 64)], swish)


def efficientnet() -> nn.Module:
    swish = nn.SiLU
    settings = [
        (16, 16, 3, 1, swish, 4),
        (96, 24, 3, 2, swish, 4),
        (144, 24, 3, 1, swish, 6),
        (144, 40, 5, 2, swish, 6),
    ]
    return Inverted([*settings, (240, 40, 5, 1, swish, 10)], swish)


class GhostModule(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, relu: bool) -> None:
        super().__init__()
        self.oup = outputs
        half = outputs // 2
        act: type[nn.Module] = nn.ReLU if relu else nn.Identity
        self.primary_conv = nn.Sequential(*conv_bn(inputs, half, 1), act())
        self.cheap_operation = nn.Sequential(*conv_bn(half, half, 3, groups=half), act())

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.primary_conv(x)
        x2 = self.cheap_operation(x1)
        return torch.cat([x1, x2], dim=1)[:, : self.oup, :, :]


class GhostBottleneck(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.ghost1 = GhostModule(inputs, hidden, relu=True)
        self.conv_dw = nn.Sequential(*conv_bn(hidden, hidden, 3, stride=stride, groups=hidden))
        self.ghost2 = GhostModule(hidden, outputs, relu=False)
        self.shortcut = nn.Sequential(
            *conv_bn(inputs, inputs, 3, stride=stride, groups=inputs), *conv_bn(inputs, outputs, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ghost2(self.conv_dw(self.ghost1(x))) + self.shortcut(x)
        return out


class GhostNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, 16, 3, stride=2), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(
            GhostBottleneck(16, 48, 24, 1), GhostBottleneck(24, 72, 40, 2), GhostBottleneck(40, 120, 40, 1)
        )
        self.classifier = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        logits: Tensor = self.classifier(x.mean(3).mean(2))
        return logits


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


class ShuffleUnitV1(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.compress = nn.Sequential(*conv_bn(channels, channels // 2, 1, groups=groups), nn.ReLU())
        self.spread = nn.Sequential(*conv_bn(channels // 2, channels // 2, 3, groups=channels // 2))
        self.expand = nn.Sequential(*conv_bn(channels // 2, channels, 1, groups=groups))

    def forward(self, x: Tensor) -> Tensor:
        out = channel_shuffle(self.compress(x), self.groups)
        return functional.relu(x + self.expand(self.spread(out)))


class ShuffleNetV1(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, 64, 3, stride=2), nn.ReLU())
        self.units = nn.Sequential(ShuffleUnitV1(64, 4), nn.AvgPool2d(2), ShuffleUnitV1(64, 4), ShuffleUnitV1(64, 4))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.units(self.stem(x)).mean([2, 3]))
        return logits


class ShuffleUnitV2(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, half = stride, outputs // 2
        side = inputs if stride > 1 else half
        self.branch1: nn.Module | None = None
        if stride > 1:
            self.branch1 = nn.Sequential(
                *conv_bn(inputs, inputs, 3, stride=stride, groups=inputs),
                *conv_bn(inputs, half, 1),
                nn.ReLU(inplace=True),
            )
        self.branch2 = nn.Sequential(
            *conv_bn(side, half, 1),
            nn.ReLU(inplace=True),
            *conv_bn(half, half, 3, stride=stride, groups=half),
            *conv_bn(half, half, 1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.branch1 is None:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*conv_bn(3, 24, 3), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(
            ShuffleUnitV2(24, 64, 2), ShuffleUnitV2(64, 64, 1), ShuffleUnitV2(64, 128, 2), ShuffleUnitV2(128, 128, 1)
        )
        self.conv5 = nn.Sequential(*conv_bn(128, 192, 1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(192, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv5(self.stages(self.conv1(x)))
        logits: Tensor = self.fc(x.mean([2, 3]))
        return logits


class Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x), inplace=True)
        return torch.cat([functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 48, 3, stride=2),
            nn.ReLU(inplace=True),
            Fire(48, 16, 48),
            Fire(96, 16, 48),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(96, 24, 64),
            Fire(128, 32, 96),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(192, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)
