# SPDX-License-Identifier: Apache-2.0
"""The network that NAS-Bench-201 (Dong and Yang, 2020) makes of a cell, in plain torch.

A node that no edge leads to holds zeros, and what works on them is computed, as in the networks that were measured:
over all cells a 3 by 3 convolution cost 13.3 ms there on zeros and 13.2 ms elsewhere (least squares over the counts of
operations), and one whose result nobody reads 0.6 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn import functional

from rank.cells import EDGES, NODES, computed_edges

CHANNELS = (16, 32, 64)
CLASSES = 10
SIDE = 32


class Convolution(nn.Sequential):
    """ReLU, convolution, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(nn.ReLU(), convolution, nn.BatchNorm2d(outputs))


class CellModule(nn.Module):
    """A cell: the last node's sum over its edges."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self._places = computed_edges(operations)
        self.edges = nn.ModuleDict({str(place): _operation(operations[place], channels) for place in self._places})

    def forward(self, image: Tensor) -> Tensor:
        nodes = {0: image}
        for place in self._places:
            source, target = EDGES[place]
            given = self.edges[str(place)](nodes[source] if source in nodes else image * 0.0)
            nodes[target] = nodes[target] + given if target in nodes else given
        return nodes[NODES - 1]


class Reduction(nn.Module):
    """The residual block between two stages: half the side, twice the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Convolution(inputs, outputs, 3, 2), Convolution(outputs, outputs, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.body(image) + self.shortcut(image)
        return answer


class Network(nn.Module):
    """Three stages of `repeats` cells with 16, 32 and 64 channels: float32 [1, 3, 32, 32] -> float32 [1, 10]."""

    def __init__(self, operations: Sequence[str], repeats: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS[0], 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS[0]))
        layers: list[nn.Module] = []
        for stage, channels in enumerate(CHANNELS):
            if stage:
                layers.append(Reduction(CHANNELS[stage - 1], channels))
            layers += [CellModule(operations, channels) for _ in range(repeats)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(CHANNELS[-1])
        self.classifier = nn.Linear(CHANNELS[-1], CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        features = functional.relu(self.norm(self.layers(self.stem(image))))
        answer: Tensor = self.classifier(functional.adaptive_avg_pool2d(features, 1).flatten(1))
        return answer


def network(operations: Sequence[str], *, repeats: int) -> nn.Module:
    """The network in eval mode, its weights always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(operations, repeats).eval()


def example() -> tuple[Tensor]:
    """One image, float32 [1, 3, 32, 32]."""
    return (torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)),)


def multiply_accumulates(exported: ExportedProgram) -> int:
    """Of the convolutions and linear layers."""
    total = 0
    for node in exported.graph.nodes:
        if node.op == "call_function" and str(node.target) in {"aten.conv2d.default", "aten.linear.default"}:
            weight, result = node.args[1].meta["val"], node.meta["val"]
            total += int(weight[0].numel() * result.numel())
    return total


def _operation(name: str, channels: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return Convolution(channels, channels, {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name])
