# SPDX-License-Identifier: Apache-2.0
"""The models of the set: one operator or a few each, written in plain torch, by family.

Sizes are odd on purpose: kernels work in tiles of 4, 8 or 16 and end in code of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SEED = 4


class Precision(StrEnum):
    """How a program computes; docs/conformance.md says with which configuration each is made."""

    FP32 = "fp32"
    INT8 = "int8"
    DYNAMIC = "int8_dynamic"
    FOUR_BIT = "8da4w"


@dataclass(frozen=True, slots=True)
class Case:
    """A model and how its inputs are drawn; `precisions` are those that its operators exist in."""

    name: str
    family: str
    make: Callable[[], nn.Module]
    draw: Callable[[torch.Generator], tuple[Tensor, ...]]
    precisions: tuple[Precision, ...]


class Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *tensors: Tensor) -> Any:
        return self._function(*tensors)


class After(nn.Module):
    """A convolution, then a function: in int8 its operand is what a convolution gives."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3, padding=1)
        self._function = function

    def forward(self, image: Tensor) -> Any:
        return self._function(self.convolution(image))


class Attention(nn.Module):
    """Self-attention with 3 heads over 7 tokens of 24 features."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(24, 72)
        self.out = nn.Linear(24, 24)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = self.project(tokens).view(1, 7, 3, 3, 8).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        answer: Tensor = self.out(mixed.transpose(1, 2).reshape(1, 7, 24))
        return answer


class Words(nn.Module):
    """Embedding, then a linear layer over the mean of the words."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 12)
        self.linear = nn.Linear(12, 5)

    def forward(self, words: Tensor) -> Tensor:
        answer: Tensor = self.linear(self.table(words).mean(1))
        return answer


class Recurrent(nn.Module):
    """A gated recurrent cell unrolled over 4 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(16, 20)
        self.candidate = nn.Linear(16, 10)

    def forward(self, sequence: Tensor) -> Tensor:
        state = torch.zeros(1, 10)
        for step in range(4):
            item = sequence[:, step]
            reset, update = torch.sigmoid(self.gates(torch.cat([item, state], 1))).chunk(2, 1)
            candidate = torch.tanh(self.candidate(torch.cat([item, reset * state], 1)))
            state = update * state + (1 - update) * candidate
        return state


def cases() -> tuple[Case, ...]:
    """The whole set, in a fixed order."""
    return (
        *_convolutions(),
        *_pooling(),
        *_linear(),
        *_norms(),
        *_elementwise(),
        *_activations(),
        *_shapes(),
        *_reductions(),
        *_upsampling(),
        *_tokens(),
    )


_FLOAT = (Precision.FP32,)
_BOTH = (Precision.FP32, Precision.INT8)
_LINEAR = (Precision.FP32, Precision.INT8, Precision.DYNAMIC, Precision.FOUR_BIT)


def _normal(*shapes: tuple[int, ...]) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
    return lambda generator: tuple(torch.randn(shape, generator=generator) for shape in shapes)


def _positive(*shapes: tuple[int, ...]) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
    return lambda generator: tuple(torch.rand(shape, generator=generator) + 0.1 for shape in shapes)


_IMAGE = _normal((1, 3, 13, 11))


def _convolutions() -> list[Case]:
    def case(name: str, *layers: Callable[[], nn.Module], draw: Any = _IMAGE) -> Case:
        return Case(name, "convolution", lambda: nn.Sequential(*(layer() for layer in layers)), draw, _BOTH)

    many = _normal((1, 6, 13, 11))
    return [
        case("conv3x3", lambda: nn.Conv2d(3, 7, 3, padding=1)),
        case("conv3x3_stride2_relu", lambda: nn.Conv2d(3, 7, 3, stride=2, padding=1), nn.ReLU),
        case("conv3x3_relu6", lambda: nn.Conv2d(3, 7, 3), nn.ReLU6),
        case("conv3x3_no_bias", lambda: nn.Conv2d(3, 7, 3, bias=False)),
        case("conv3x3_dilated", lambda: nn.Conv2d(3, 7, 3, padding=2, dilation=2)),
        case("conv1x7", lambda: nn.Conv2d(3, 5, (1, 7), padding=(0, 3))),
        case("conv5x5_stride2", lambda: nn.Conv2d(3, 5, 5, stride=2, padding=2)),
        case("pointwise", lambda: nn.Conv2d(6, 19, 1), draw=many),
        case("grouped", lambda: nn.Conv2d(6, 9, 3, padding=1, groups=3), draw=many),
        case("depthwise3x3", lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), draw=many),
        case("depthwise5x5_stride2", lambda: nn.Conv2d(6, 6, 5, stride=2, padding=2, groups=6), draw=many),
        case("separable", lambda: nn.Conv2d(6, 6, 3, groups=6), nn.ReLU, lambda: nn.Conv2d(6, 10, 1), draw=many),
        case("transposed", lambda: nn.ConvTranspose2d(6, 5, 3, stride=2, padding=1, output_padding=1), draw=many),
        case("conv1d", lambda: nn.Conv1d(4, 9, 5, padding=2), draw=_normal((1, 4, 31))),
        case("conv_batch_norm_relu", lambda: nn.Conv2d(3, 7, 3), lambda: _settled(nn.BatchNorm2d(7)), nn.ReLU),
    ]  # fmt: skip


def _pooling() -> list[Case]:
    def case(name: str, make: Callable[[], nn.Module]) -> Case:
        return Case(name, "pooling", lambda: nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), make()), _IMAGE, _BOTH)

    return [
        case("max2x2", lambda: nn.MaxPool2d(2)),
        case("max3x3_stride2_padded", lambda: nn.MaxPool2d(3, 2, 1)),
        case("average2x2", lambda: nn.AvgPool2d(2)),
        case("average3x3_padded", lambda: nn.AvgPool2d(3, 2, 1)),
        case("global_average", lambda: nn.AdaptiveAvgPool2d(1)),
    ]


def _linear() -> list[Case]:
    def case(name: str, make: Callable[[], nn.Module], *shapes: tuple[int, ...], precisions: Any = _LINEAR) -> Case:
        return Case(name, "linear and matmul", make, _normal(*shapes), precisions)

    return [
        case("linear", lambda: nn.Linear(64, 37), (1, 64)),
        case("linear_no_bias", lambda: nn.Linear(64, 37, bias=False), (1, 64)),
        case("linear_tokens", lambda: nn.Linear(96, 48), (1, 9, 96)),
        case("two_layers", lambda: nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10)), (1, 64)),
        case("matmul", lambda: Function(torch.matmul), (5, 19), (19, 7), precisions=_FLOAT),
        case("batched_matmul", lambda: Function(torch.bmm), (3, 5, 19), (3, 19, 7), precisions=_FLOAT),
    ]


def _norms() -> list[Case]:
    def case(name: str, make: Callable[[], nn.Module], shape: tuple[int, ...]) -> Case:
        return Case(name, "norm and softmax", make, _normal(shape), _FLOAT)

    return [
        case("batch_norm", lambda: _settled(nn.BatchNorm2d(5)), (1, 5, 7, 6)),
        case("layer_norm", lambda: _settled(nn.LayerNorm(19)), (1, 7, 19)),
        case("group_norm", lambda: _settled(nn.GroupNorm(3, 9)), (1, 9, 5, 4)),
        case("rms_norm", lambda: _settled(nn.RMSNorm(19)), (1, 7, 19)),
        case("softmax", lambda: nn.Softmax(-1), (1, 3, 7, 13)),
        case("log_softmax", lambda: nn.LogSoftmax(-1), (1, 13)),
    ]


def _elementwise() -> list[Case]:
    shape = (1, 5, 7, 6)

    def two(name: str, function: Callable[..., Any], precisions: Any = _FLOAT, second: Any = shape) -> Case:
        return Case(name, "elementwise", lambda: Function(function), _normal(shape, second), precisions)

    def one(name: str, function: Callable[..., Any], draw: Any = None) -> Case:
        return Case(name, "elementwise", lambda: Function(function), draw or _normal(shape), _FLOAT)

    positive = _positive(shape)
    return [
        two("add", torch.add, _BOTH),
        two("add_broadcast", torch.add, second=(1, 5, 1, 1)),
        two("subtract", torch.sub),
        two("multiply", torch.mul, _BOTH),
        Case("divide", "elementwise", lambda: Function(torch.div), _positive(shape, shape), _FLOAT),
        two("minimum", torch.minimum),
        two("maximum", torch.maximum),
        one("add_scalar", lambda x: x + 1.5),
        one("absolute", torch.abs),
        one("negate", torch.neg),
        one("square", torch.square),
        one("cube", lambda x: x**3),
        one("root", torch.sqrt, positive),
        one("inverse_root", torch.rsqrt, positive),
        one("exponential", torch.exp),
        one("logarithm", torch.log, positive),
        one("floor", torch.floor),
        one("ceiling", torch.ceil),
        one("clamp", lambda x: x.clamp(-0.5, 0.7)),
        one("sine", torch.sin),
        one("where", lambda x: torch.where(x > 0, x, 0.1 * x)),
    ]


def _activations() -> list[Case]:
    def case(name: str, make: Callable[[], nn.Module], precisions: Any = _BOTH) -> Case:
        return Case(name, "activation", lambda: nn.Sequential(nn.Conv2d(3, 6, 3), make()), _IMAGE, precisions)

    return [
        case("relu", nn.ReLU),
        case("relu6", nn.ReLU6),
        case("hardtanh", nn.Hardtanh),
        case("sigmoid", nn.Sigmoid),
        case("tanh", nn.Tanh),
        case("hardswish", nn.Hardswish),
        case("hardsigmoid", nn.Hardsigmoid),
        case("leaky_relu", lambda: nn.LeakyReLU(0.1)),
        case("prelu", lambda: nn.PReLU(6), _FLOAT),
        case("elu", nn.ELU),
        case("gelu", nn.GELU, _FLOAT),
        case("gelu_tanh", lambda: nn.GELU("tanh"), _FLOAT),
        case("silu", nn.SiLU),
        case("softplus", nn.Softplus, _FLOAT),
    ]


def _shapes() -> list[Case]:
    def case(name: str, function: Callable[..., Any], precisions: Any = _BOTH) -> Case:
        return Case(name, "shape", lambda: After(function), _IMAGE, precisions)

    return [
        case("concatenate", lambda x: torch.cat([x, x * 2], 1)),
        case("concatenate_five", lambda x: torch.cat([x, x + 1, x + 2, x + 3, x + 4], 1), _FLOAT),
        case("stack", lambda x: torch.stack([x, x * 2], 1), _FLOAT),
        case("slice", lambda x: x[:, 1:5, 2:9, 3:]),
        case("split", lambda x: tuple(part * 2 for part in x.split(3, 1)), _FLOAT),
        case("permute", lambda x: x.permute(0, 2, 3, 1)),
        case("reshape", lambda x: x.reshape(1, 2, 3, -1)),
        case("flatten", lambda x: x.flatten(1)),
        case("pad", lambda x: functional.pad(x, (1, 2, 3, 1))),
        case("expand", lambda x: x[:, :1].expand(1, 4, 13, 11) + x[:, 1:5], _FLOAT),
        case("pixel_shuffle", lambda x: functional.pixel_shuffle(x[:, :4], 2), _FLOAT),
        case("channel_shuffle", lambda x: x.view(1, 2, 3, 13, 11).transpose(1, 2).reshape(1, 6, 13, 11), _FLOAT),
    ]


def _reductions() -> list[Case]:
    def case(name: str, function: Callable[..., Any], precisions: Any = _FLOAT) -> Case:
        return Case(name, "reduction", lambda: After(function), _IMAGE, precisions)

    return [
        case("mean_plane_kept", lambda x: x.mean([-1, -2], keepdim=True), _BOTH),
        case("mean_plane", lambda x: x.mean([2, 3])),
        case("mean_channels", lambda x: x.mean(1)),
        case("sum_plane", lambda x: x.sum([2, 3])),
        case("maximum_of_channels", lambda x: x.amax(1)),
        case("index_of_maximum", lambda x: x.argmax(1)),
        case("cumulative_sum", lambda x: x.cumsum(1)),
        case("variance", lambda x: x.var([2, 3])),
    ]


def _upsampling() -> list[Case]:
    def case(name: str, **arguments: Any) -> Case:
        make = lambda: After(lambda x: functional.interpolate(x, scale_factor=2, **arguments))  # noqa: E731
        return Case(name, "upsampling", make, _IMAGE, _BOTH)

    return [
        case("bilinear", mode="bilinear", align_corners=False),
        case("bilinear_corners", mode="bilinear", align_corners=True),
        case("nearest", mode="nearest"),
    ]


def _tokens() -> list[Case]:
    def words(generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.randint(0, 50, (1, 9), generator=generator),)

    return [
        Case("embedding", "embedding", lambda: nn.Embedding(50, 12), words, _FLOAT),
        Case("embedding_linear", "embedding", Words, words, (Precision.FP32, Precision.DYNAMIC)),
        Case("attention", "sequence", Attention, _normal((1, 7, 24)), (Precision.FP32, Precision.DYNAMIC)),
        Case("recurrent", "sequence", Recurrent, _normal((1, 4, 6)), _FLOAT),
    ]  # fmt: skip


def _settled(module: Any) -> nn.Module:
    """A norm with weights and statistics that are not one and zero."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.dtype == torch.float32:
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(drawn + 0.5 if name != "bias" else drawn - 0.5)
    norm: nn.Module = module
    return norm
