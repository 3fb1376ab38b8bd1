# SPDX-License-Identifier: Apache-2.0
"""What each pass before quantization is for: a net that it rescues, and outputs that it leaves alone in float."""

from __future__ import annotations

import pytest
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.quantize import calibrate, runnable
from edgectl.compress.quantize.passes.adaround import adaround, channel_steps
from edgectl.compress.quantize.passes.bias_correction import correct_biases
from edgectl.compress.quantize.passes.equalization import find_pairs
from edgectl.compress.quantize.spec import QuantizationSpec
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from torch import Tensor, nn

INT8 = QuantizationSpec("int8")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state_of(module: nn.Module, *shape: int) -> ModelState:
    example = (torch.randn(1, *shape, generator=generator(9)),)
    return ModelState(export_model(module, example).graph, example)


def decibels(given: Tensor, wanted: Tensor) -> float:
    return float(10 * torch.log10(wanted.square().sum() / (given - wanted).square().sum()))


def badly_scaled() -> ModelState:
    """Channels between two convolutions whose ranges differ by up to 10,000, though the net's output does not show."""
    torch.manual_seed(0)
    norm, last = nn.BatchNorm2d(16), nn.Conv2d(16, 8, 3)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), norm, nn.ReLU(), last)
    scale = 10 ** torch.linspace(-2, 2, 16)
    with torch.no_grad():
        norm.weight.mul_(scale)
        norm.bias.mul_(scale)
        last.weight.div_(scale[None, :, None, None])
    return state_of(net, 3, 12, 12)


def calibrated(state: ModelState, *passes: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, ModelState]:
    """Quantized outputs, float outputs, and the quantized state."""
    items = [torch.randn(16, *shape, generator=generator(index)) for index in range(4)]
    quantized = calibrate(state, Quantize("int8", passes=passes), items, generator=generator())
    with torch.no_grad():
        return runnable(quantized)(items[0]), state.graph(items[0]), quantized


def test_equalization_rescues_a_net_with_badly_scaled_channels() -> None:
    state = badly_scaled()
    plain, wanted, _ = calibrated(state, shape=(3, 12, 12))
    equalized, _, quantized = calibrated(state, "equalization", shape=(3, 12, 12))
    assert decibels(equalized, wanted) > decibels(plain, wanted) + 10
    with torch.no_grad():
        inputs = torch.randn(4, 3, 12, 12, generator=generator(5))
        assert decibels(quantized.graph(inputs), state.graph(inputs)) > 90
    assert set(dict(quantized.graph.named_parameters())) == {"0.weight", "0.bias", "3.weight", "3.bias"}


def test_equalization_leaves_alone_what_does_not_scale_along() -> None:
    gelu = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    pairs = find_pairs(state_of(gelu, 8).graph)
    assert [str(pair.first.args[1]) for pair in pairs] == ["_2_weight"]


class Normed(nn.Module):
    """A layer norm with one channel that reaches 60 times as far as the others, read by two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.left, self.right = nn.LayerNorm(32), nn.Linear(32, 16), nn.Linear(32, 16)
        self.norm.weight.data[5] = 60.0
        for layer in (self.left, self.right):
            layer.weight.data[:, 5] /= 60

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm(tokens)
        difference: Tensor = torch.relu(self.left(normed)) - self.right(normed)
        return difference


def test_smoothquant_takes_an_outlier_channel_out_of_the_activations() -> None:
    torch.manual_seed(0)
    state = state_of(Normed(), 6, 32)
    plain, wanted, _ = calibrated(state, shape=(6, 32))
    smoothed, _, quantized = calibrated(state, "smoothquant", shape=(6, 32))
    assert decibels(smoothed, wanted) > decibels(plain, wanted) + 6
    with torch.no_grad():
        inputs = torch.randn(4, 6, 32, generator=generator(5))
        assert decibels(quantized.graph(inputs), state.graph(inputs)) > 90


def test_adaround_lowers_the_error_of_a_layer_against_rounding_to_the_nearest() -> None:
    torch.manual_seed(0)
    state = state_of(nn.Sequential(nn.Linear(64, 32)), 64)
    # Inputs that are correlated, as real ones are: roundings can then make up for each other.
    inputs = torch.randn(512, 4, generator=generator(1)) @ torch.randn(4, 64, generator=generator(2))
    weight = state.graph.get_parameter("0.weight").detach().clone()
    step = channel_steps(weight, 0)
    nearest = torch.round(weight / step) * step
    graph = state.copied_graph()
    assert adaround(graph, INT8, [(inputs,)], generator=generator()) == 1
    learned = graph.get_parameter("0.weight").detach()
    errors = [float((inputs @ (rounded - weight).T).square().mean()) for rounded in (learned, nearest)]
    assert errors[0] < 0.5 * errors[1]
    assert torch.allclose(channel_steps(learned, 0), step, rtol=1e-6)
    assert torch.allclose(torch.round(learned / step) * step, learned, atol=1e-7)
    assert float((learned - weight).abs().max()) <= float(step.max()) * 1.001


def test_adaround_leaves_pruned_weights_at_zero() -> None:
    torch.manual_seed(0)
    state = state_of(nn.Sequential(nn.Linear(16, 8)), 16)
    graph = state.copied_graph()
    with torch.no_grad():
        graph.get_parameter("0.weight")[:, ::2] = 0
    adaround(graph, INT8, [(torch.randn(64, 16, generator=generator()),)], generator=generator())
    assert float(graph.get_parameter("0.weight")[:, ::2].abs().max()) == 0


def test_bias_correction_takes_the_shift_of_the_mean_off() -> None:
    torch.manual_seed(0)
    state = state_of(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Linear(10, 4)), 3, 12, 12)
    items = [(torch.randn(32, 3, 12, 12, generator=generator(1)) + 2,)]  # a mean that is not 0 shows the shift
    graph = state.copied_graph()
    assert correct_biases(graph, INT8, items) == 2
    graph.recompile()
    rounded = state.copied_graph()
    for one in (graph, rounded):
        weight = one.get_parameter("0.weight")
        step = channel_steps(weight.detach(), 0)
        weight.data = torch.round(weight / step) * step

    def shift(candidate: torch.fx.GraphModule) -> float:
        with torch.no_grad():
            return float((_first_layer(candidate, items[0][0]) - _first_layer(state.graph, items[0][0])).abs().max())

    assert shift(graph) < 0.05 * shift(rounded)


def _first_layer(graph: torch.fx.GraphModule, inputs: Tensor) -> Tensor:
    bias = graph.get_parameter("0.bias") if hasattr(graph.get_submodule("0"), "bias") else None
    return torch.nn.functional.conv2d(inputs, graph.get_parameter("0.weight"), bias).mean((0, 2, 3))


@pytest.mark.parametrize("passes", [("equalization", "adaround", "bias_correction"), ("adaround",)])
def test_passes_together_keep_the_net_and_do_not_hurt(passes: tuple[str, ...]) -> None:
    state = badly_scaled()
    plain, wanted, _ = calibrated(state, shape=(3, 12, 12))
    given, _, quantized = calibrated(state, *passes, shape=(3, 12, 12))
    assert decibels(given, wanted) > decibels(plain, wanted) - 1
    assert [edit.kind for edit in quantized.edits] == ["quantize.passes", "quantize"]
