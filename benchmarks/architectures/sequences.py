# SPDX-License-Identifier: Apache-2.0
"""Sounds and sequences, small, written as their authors write them: sizes are literals.

DS-CNN (Zhang et al. 2017, keyword spotting), a temporal convolutional network (Bai et al. 2018), a tagger with a
bidirectional GRU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class DSCNN(nn.Module):
    """Takes [N, 1, 49, 10], cepstral coefficients of a second."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 64, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False),
                    nn.BatchNorm2d(64),
                    nn.ReLU(),
                    nn.Conv2d(64, 64, 1, bias=False),
                    nn.BatchNorm2d(64),
                    nn.ReLU(),
                )
                for _ in range(4)
            )
        )
        self.fc = nn.Linear(64, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        x = functional.avg_pool2d(x, kernel_size=(x.shape[2], x.shape[3]))
        logits: Tensor = self.fc(x.squeeze(-1).squeeze(-1))
        return logits


class Chomp1d(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : -self.size].contiguous()


class TemporalBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        weight_norm = nn.utils.parametrizations.weight_norm
        self.net = nn.Sequential(
            weight_norm(nn.Conv1d(inputs, outputs, 3, padding=2 * dilation, dilation=dilation)),
            Chomp1d(2 * dilation),
            nn.ReLU(),
            nn.Dropout(0.2),
            weight_norm(nn.Conv1d(outputs, outputs, 3, padding=2 * dilation, dilation=dilation)),
            Chomp1d(2 * dilation),
            nn.ReLU(),
            nn.Dropout(0.2),
        )
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.net(x) + (x if self.downsample is None else self.downsample(x)))


class TCN(nn.Module):
    """Takes [N, 8, 64], a line of sensor values."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(TemporalBlock(8, 32, 1), TemporalBlock(32, 48, 2), TemporalBlock(48, 48, 4))
        self.linear = nn.Linear(48, 6)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.network(x)[:, :, -1])
        return logits


class GRUTagger(nn.Module):
    """Takes tokens [N, 24]; a convolution over embeddings, a recurrent layer, a score per token and class."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(120, 48)
        self.conv = nn.Conv1d(48, 96, 5, padding=2)
        self.narrow = nn.Conv1d(96, 32, 1)
        self.gru = nn.GRU(32, 24, batch_first=True, bidirectional=True)
        self.hidden, self.classifier = nn.Linear(48, 64), nn.Linear(64, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens).transpose(1, 2)
        x = self.narrow(torch.relu(self.conv(x))).transpose(1, 2)
        states, _ = self.gru(x)
        scores: Tensor = self.classifier(torch.relu(self.hidden(states)))
        return scores
