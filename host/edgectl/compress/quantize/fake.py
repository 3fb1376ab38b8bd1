# SPDX-License-Identifier: Apache-2.0
"""Fake quantization: values are rounded as the device will round them, gradients pass where nothing was clipped.

Straight-through estimation after Jacob et al. 2018, section 3. Modules hold buffers only, so that a graph's parameters
keep their names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgectl.compress.quantize.observers import SMALLEST_STEP
from edgectl.compress.quantize.spec import INT4_GROUP, Steps

# A range grows faster than it shrinks: what is beyond it is clipped and has no gradient.
_GROWING, _SHRINKING = 0.1, 0.01
_SMALLEST_WEIGHT_STEP = 2**-24


class FakeActivation(nn.Module):
    """An int8 activation per tensor; its range follows moving averages of what passes by while it trains."""

    low: Tensor
    high: Tensor

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(steps.low))
        self.register_buffer("high", torch.tensor(steps.high))
        self.sources: list[str] = []  # the operators whose outputs share this range
        self.moved = False
        self._first = steps

    @property
    def steps(self) -> Steps:
        """The steps the range stands for now; the very ones it began with where nothing passed."""
        if not self.moved:
            return self._first
        scale = max(float(self.high - self.low) / 255, SMALLEST_STEP)
        return Steps(scale, int(min(127, max(-128, round(-128 - float(self.low) / scale)))))

    def forward(self, values: Tensor) -> Tensor:
        if torch.is_grad_enabled() and values.requires_grad:
            self._follow(values.detach())
        steps = self.steps
        return torch.fake_quantize_per_tensor_affine(values, steps.scale, steps.zero_point, -128, 127)

    def _follow(self, values: Tensor) -> None:
        if values.numel() == 0:
            return
        low, high = torch.aminmax(values)
        below, above = low.clamp(max=0.0) - self.low, high.clamp(min=0.0) - self.high
        self.low += below * (_GROWING if float(below) < 0 else _SHRINKING)
        self.high += above * (_GROWING if float(above) > 0 else _SHRINKING)
        self.moved = True


class FakeDynamicActivation(nn.Module):
    """An int8 activation whose range is that of each tensor, or of each token."""

    def __init__(self, *, per_token: bool) -> None:
        super().__init__()
        self._per_token = per_token

    def forward(self, values: Tensor) -> Tensor:
        dims = -1 if self._per_token else tuple(range(values.ndim))
        low = values.detach().amin(dims, keepdim=True).clamp(max=0.0)
        high = values.detach().amax(dims, keepdim=True).clamp(min=0.0)
        scale = ((high - low) / 255).clamp(min=1e-9)
        zero = torch.clamp(torch.round(-128 - low / scale), -128, 127)
        rounded = (torch.clamp(torch.round(values / scale) + zero, -128, 127) - zero) * scale
        return values + (rounded - values).detach()


class FakeWeight(nn.Module):
    """An int8 weight, symmetric, with a step per output channel."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def forward(self, weight: Tensor) -> Tensor:
        dims = [dim for dim in range(weight.ndim) if dim != self._axis]
        scale = (weight.detach().abs().amax(dims) / 127).clamp(min=_SMALLEST_WEIGHT_STEP)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, self._axis, -127, 127)


class FakeInt4Weight(nn.Module):
    """A 4-bit weight [outputs, inputs] with a step per group of 32 inputs."""

    def forward(self, weight: Tensor) -> Tensor:
        from edgectl.compress.quantize.int4 import int4_weight

        integers, scales = int4_weight(weight)
        rounded = (integers.reshape(*scales.shape, INT4_GROUP) * scales[..., None]).reshape(weight.shape)
        return weight + (rounded - weight).detach()
