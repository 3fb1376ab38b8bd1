# SPDX-License-Identifier: Apache-2.0
"""Classic image classifiers, small, written as their authors write them: sizes are literals.

AlexNet (Krizhevsky et al. 2012), VGG (Simonyan, Zisserman 2015), GoogLeNet (Szegedy et al. 2015), ResNet (He et al.
2016), ResNeXt (Xie et al. 2017), DenseNet (Huang et al. 2017), RegNetY (Radosavovic et al. 2020). Inputs are [N, 3, 32,
32].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class AlexNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2),
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2),
            nn.Conv2d(64, 96, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(96, 64, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(64 * 4 * 4, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(256, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = x.view(x.size(0), 64 * 4 * 4)
        logits: Tensor = self.classifier(x)
        return logits


class VGG(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in (32, 32, "M", 64, 64, "M", 96, 96, "M"):
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(96 * 2 * 2, 128), nn.ReLU(inplace=True), nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        logits: Tensor = self.classifier(x)
        return logits


class Bottleneck(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int, groups: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inplanes, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, planes * 4, 1, bias=False), nn.BatchNorm2d(planes * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inplanes != planes * 4:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes * 4, 1, stride=stride, bias=False), nn.BatchNorm2d(planes * 4)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        activated: Tensor = self.relu(out)
        return activated


class ResNet(nn.Module):
    """Bottlenecks; with groups it is ResNeXt."""

    def __init__(self, groups: int = 1, width_per_group: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(32), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        planes, layers, inplanes = (16, 32, 64), [], 32
        for index, plane in enumerate(planes):
            for block in range(2):
                stride = 2 if index and not block else 1
                width = plane * width_per_group // 64 * groups
                layers.append(Bottleneck(inplanes, plane, stride, groups, width))
                inplanes = plane * 4
        self.layers = nn.Sequential(*layers)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = torch.flatten(self.avgpool(self.layers(x)), 1)
        logits: Tensor = self.fc(x)
        return logits


class DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        bottleneck = self.conv1(functional.relu(self.norm1(torch.cat(features, 1))))
        grown: Tensor = self.conv2(functional.relu(self.norm2(bottleneck)))
        return grown


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.first = nn.ModuleList(DenseLayer(32 + 16 * index, 16) for index in range(3))
        self.transition = nn.Sequential(
            nn.BatchNorm2d(80), nn.ReLU(inplace=True), nn.Conv2d(80, 40, 1, bias=False), nn.AvgPool2d(2, 2)
        )
        self.second = nn.ModuleList(DenseLayer(40 + 16 * index, 16) for index in range(3))
        self.norm, self.classifier = nn.BatchNorm2d(88), nn.Linear(88, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.first:
            features.append(layer(features))
        features = [self.transition(torch.cat(features, 1))]
        for layer in self.second:
            features.append(layer(features))
        out = functional.relu(self.norm(torch.cat(features, 1)), inplace=True)
        logits: Tensor = self.classifier(torch.flatten(functional.adaptive_avg_pool2d(out, (1, 1)), 1))
        return logits


class BasicConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    def __init__(self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pool: int) -> None:
        super().__init__()
        self.branch1 = BasicConv(inputs, one, 1)
        self.branch2 = nn.Sequential(BasicConv(inputs, three[0], 1), BasicConv(three[0], three[1], 3, 1))
        self.branch3 = nn.Sequential(BasicConv(inputs, five[0], 1), BasicConv(five[0], five[1], 5, 2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), BasicConv(inputs, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = BasicConv(3, 32, 3, 1), BasicConv(32, 64, 3, 1)
        self.inception3a = Inception(64, 32, (48, 64), (8, 16), 16)
        self.inception3b = Inception(128, 64, (64, 96), (16, 32), 32)
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(224, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.conv2(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.inception3b(functional.max_pool2d(self.inception3a(x), 2, 2, ceil_mode=True))
        x = self.dropout(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
        logits: Tensor = self.fc(x)
        return logits


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.fc2(functional.relu(self.fc1(self.avgpool(x)))))
        return scale * x


class RegNetBlock(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.b = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=width // 16, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.se = SqueezeExcitation(width, inputs // 4)
        self.c = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.proj: nn.Module | None = None
        if inputs != width or stride != 1:
            self.proj = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = self.c(self.se(self.b(self.a(x))))
        return functional.relu((x if self.proj is None else self.proj(x)) + out, inplace=True)


class RegNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.trunk = nn.Sequential(
            RegNetBlock(32, 48, 2), RegNetBlock(48, 48, 1), RegNetBlock(48, 96, 2), RegNetBlock(96, 96, 1)
        )
        self.fc = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk(self.stem(x))
        logits: Tensor = self.fc(x.mean([2, 3]))
        return logits
