# SPDX-License-Identifier: Apache-2.0
"""Builds the reference model that measurements alternate with: `python device_agent/reference/build.py FILE.pte`.

A fixed yardstick, never trained: a float 3x3 convolution, three depthwise-separable blocks and a linear layer, 16
million multiply-accumulates on 110 kB of weights, so that both a processor's arithmetic and its caches are in its time.
The weights follow a formula and no random generator, so that another release of torch builds the same.
A new reference model makes every earlier ratio incomparable: change it only together with `REFERENCE_VERSION`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch import nn

_CHANNELS = 64
_SIDE = 32
_BLOCKS = 3
_POOL = 8


def reference_model() -> nn.Module:
    """float32 [1, 3, 64, 64] -> float32 [1, 10]."""
    layers: list[nn.Module] = [nn.Conv2d(3, _CHANNELS, 3, stride=2, padding=1), nn.ReLU()]
    for _ in range(_BLOCKS):
        layers += [nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, groups=_CHANNELS), nn.ReLU()]
        layers += [nn.Conv2d(_CHANNELS, _CHANNELS, 1), nn.ReLU()]
    layers += [nn.MaxPool2d(_POOL), nn.Flatten(), nn.Linear(_CHANNELS * (_SIDE // _POOL) ** 2, 10)]
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            count = parameter.numel()
            parameter.copy_((torch.arange(count, dtype=torch.float64).mul(0.37).sin() / count**0.5).view_as(parameter))
    return model


def main() -> None:
    target = Path(sys.argv[1])
    exported = torch.export.export(reference_model(), (torch.zeros(1, 3, 2 * _SIDE, 2 * _SIDE),))
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    target.write_bytes(program.buffer)
    print(f"{target}: {len(program.buffer)} bytes")


if __name__ == "__main__":
    main()
