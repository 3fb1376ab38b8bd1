# SPDX-License-Identifier: Apache-2.0
"""Segmentation and detection, small, written as their authors write them: sizes are literals.

U-Net (Ronneberger et al. 2015), DeepLabV3 (Chen et al. 2017), SSD (Liu et al. 2016). Inputs are [N, 3, 32, 32].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.double_conv(x)
        return out


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inc, self.down1, self.down2 = DoubleConv(3, 16), DoubleConv(16, 32), DoubleConv(32, 64)
        self.up1, self.conv1 = nn.ConvTranspose2d(64, 32, kernel_size=2, stride=2), DoubleConv(64, 32)
        self.up2, self.conv2 = nn.ConvTranspose2d(32, 16, kernel_size=2, stride=2), DoubleConv(32, 16)
        self.outc = nn.Conv2d(16, 4, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(functional.max_pool2d(x1, 2))
        x3 = self.down2(functional.max_pool2d(x2, 2))
        x = self.conv1(torch.cat([x2, self.up1(x3)], dim=1))
        x = self.conv2(torch.cat([x1, self.up2(x)], dim=1))
        logits: Tensor = self.outc(x)
        return logits


def conv_block(inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class DeepLab(nn.Module):
    """Atrous convolutions side by side with a pooled branch; two outputs by name, one of them auxiliary."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv_block(3, 32, 3, stride=2), conv_block(32, 64, 3, stride=2))
        self.layer4 = conv_block(64, 96, 3, dilation=2)
        self.convs = nn.ModuleList(
            [conv_block(96, 32, 1), conv_block(96, 32, 3, dilation=2), conv_block(96, 32, 3, dilation=4)]
        )
        self.pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(96, 32, 1), nn.ReLU())
        self.project = nn.Sequential(conv_block(4 * 32, 32, 1), nn.Dropout(0.5))
        self.classifier, self.aux = nn.Conv2d(32, 4, 1), nn.Conv2d(64, 4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        size = x.shape[-2:]
        features = self.backbone(x)
        deep = self.layer4(features)
        pooled = functional.interpolate(self.pooling(deep), size=deep.shape[-2:], mode="bilinear", align_corners=False)
        joined = torch.cat([*(conv(deep) for conv in self.convs), pooled], dim=1)
        out = functional.interpolate(self.classifier(self.project(joined)), size=size, mode="bilinear")
        return {"out": out, "aux": functional.interpolate(self.aux(features), size=size, mode="bilinear")}


class SSD(nn.Module):
    """Heads on two scales: boxes [N, anchors, 4] and scores [N, anchors, classes]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_block(3, 32, 3, stride=2), conv_block(32, 64, 3, stride=2))
        self.coarse = conv_block(64, 96, 3, stride=2)
        self.boxes = nn.ModuleList([nn.Conv2d(64, 3 * 4, 3, padding=1), nn.Conv2d(96, 3 * 4, 3, padding=1)])
        self.scores = nn.ModuleList([nn.Conv2d(64, 3 * 5, 3, padding=1), nn.Conv2d(96, 3 * 5, 3, padding=1)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.stem(x)
        features = [first, self.coarse(first)]
        boxes = [
            head(f).permute(0, 2, 3, 1).reshape(x.size(0), -1, 4) for head, f in zip(self.boxes, features, strict=True)
        ]
        scores = [
            head(f).permute(0, 2, 3, 1).reshape(x.size(0), -1, 5) for head, f in zip(self.scores, features, strict=True)
        ]
        return torch.cat(boxes, 1), torch.cat(scores, 1)
