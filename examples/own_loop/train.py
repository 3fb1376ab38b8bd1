# SPDX-License-Identifier: Apache-2.0
"""Your own training loop with a technique in it: sparsity that rises, then training through int8. Run it from here.

The data are synthetic: noisy patterns, five classes.
"""

from __future__ import annotations

import sys

import torch
from edgectl.compress import Quantize, Sparsify
from edgectl.compress.loop import Loop, prepare
from torch import nn
from torch.nn import functional

STEPS = 150


def build_model() -> nn.Module:
    """Takes float32 [N, 1, 8, 8], gives float32 [N, 5]."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 16, 5),
    )


def draw(patterns: torch.Tensor, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    targets = torch.randint(0, len(patterns), (count,), generator=generator)
    return patterns[targets] + 0.8 * torch.randn(count, 1, 8, 8, generator=generator), targets


def train(loop: Loop, patterns: torch.Tensor, generator: torch.Generator) -> None:
    """Nothing but `loop.module` and `loop.step()` differs from a loop without edgectl."""
    optimizer = torch.optim.AdamW(loop.module.parameters(), lr=0.003)
    for step in range(STEPS):
        inputs, targets = draw(patterns, 32, generator)
        optimizer.zero_grad()
        functional.cross_entropy(loop.module(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if loop.step():
            optimizer = torch.optim.AdamW(loop.module.parameters(), lr=0.003)
        if (step + 1) % 50 == 0:
            print(loop.report())


def main() -> int:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    patterns = torch.randn(5, 1, 8, 8, generator=generator)
    example = torch.randn(1, 1, 8, 8, generator=generator)
    test_inputs, test_targets = draw(patterns, 500, generator)

    sparse = prepare(build_model(), Sparsify(sparsity=0.8, epochs=1), (example,), steps=STEPS)
    train(sparse, patterns, generator)
    result = sparse.finalize()

    calibration = [draw(patterns, 32, generator)[0] for _ in range(4)]
    through_int8 = prepare(result, Quantize("int8"), steps=STEPS, calibration=calibration)
    train(through_int8, patterns, generator)
    result = through_int8.finalize()

    with torch.no_grad():
        accuracy = float((result.module(test_inputs).argmax(1) == test_targets).float().mean())
    print(f"int8 accuracy {accuracy:.3f} on {len(test_targets)} synthetic items")
    return 0 if accuracy > 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
