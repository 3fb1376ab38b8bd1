# SPDX-License-Identifier: Apache-2.0
"""Each scheme on a small net: what becomes int8, what stays float and why; the .pte computes what eager does."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from edgectl.compress.carrier import export_model, set_training
from edgectl.compress.quantize import (
    QuantizationSpec,
    calibrate,
    calibrate_within,
    recalibrate,
    runnable,
    training_graph,
    write_back,
)
from edgectl.compress.quantize.layer_errors import layer_errors, unannotated_operators
from edgectl.compress.quantize.observers import OBSERVERS, steps_of
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.lower import lower
from edgectl.lower.agreement import least_agreement
from edgectl_protos.errors import CompileError, DatasetError, UsageError
from torch import Tensor, nn
from torch.nn import functional

SHAPE = (3, 8, 8)


class Net(nn.Module):
    """Convolutions, one called twice, with batch norm, an addition, a GELU, and linear layers of 32 and 20 inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.twice = nn.Conv2d(32, 32, 3, padding=1)
        self.wide, self.narrow = nn.Linear(32, 20), nn.Linear(20, 5)

    def forward(self, image: Tensor) -> Tensor:
        stem = functional.relu(self.norm(self.stem(image)))
        both = stem + self.twice(functional.relu(self.twice(stem)))
        given: Tensor = self.narrow(functional.gelu(self.wide(both.mean((2, 3)))))
        return given


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def items(count: int = 4) -> list[tuple[Tensor]]:
    return [(torch.randn(16, *SHAPE, generator=generator(index)),) for index in range(count)]


@cache
def float_state() -> ModelState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Net()
    statistics = dict(net.norm.named_buffers())
    statistics["running_mean"].uniform_(-0.2, 0.2, generator=generator())
    statistics["running_var"].uniform_(0.5, 1.5, generator=generator())
    carrier = export_model(net, (torch.randn(1, *SHAPE, generator=generator(9)),))
    return ModelState(carrier.graph, carrier.example_inputs)


@cache
def quantized(scheme: str) -> ModelState:
    return calibrate(float_state(), Quantize(scheme), items(), generator=generator())


def outputs(state: ModelState) -> Tensor:
    with torch.no_grad():
        given: Tensor = runnable(state)(items()[0][0])
    return given


@pytest.mark.parametrize(
    ("scheme", "least", "frozen"),
    [
        ("int8", 25, set()),
        ("int8_dynamic", 25, {"stem", "twice"}),
        ("int4_weights", 15, {"stem", "twice", "narrow"}),
        ("fp16", 45, set()),
    ],
)
def test_scheme_gives_a_program_that_computes_what_eager_does(scheme: str, least: float, frozen: set[str]) -> None:
    state = quantized(scheme)
    assert least_agreement((outputs(state),), (outputs(float_state()),)) > least
    assert {one.place for one in state.frozen} == frozen
    assert all(one.reason and one.stage == "quantize" for one in state.frozen)
    program = lower(state)
    assert program.agreement is not None
    assert program.agreement > 30
    assert not program.notes or scheme == "fp16"


def test_a_bias_that_two_calls_share_is_right_in_both() -> None:
    program = lower(quantized("int8"))  # ExecuTorch gives both the integers of the first, if they share the tensor
    image = torch.randn(1, *SHAPE, generator=generator(3))
    assert least_agreement(program.run((image,)), (runnable(quantized("int8"))(image),)) > 40


def test_spec_comes_back_from_json_and_gives_the_same_numbers() -> None:
    state = quantized("int8")
    text = json.dumps(state.quantization.document())
    restored = replace(state, quantization=QuantizationSpec.from_document(json.loads(text)), cache={})
    assert torch.equal(outputs(restored), outputs(state))
    assert not state.quantization.tensors()


@pytest.mark.parametrize("observer", ["minmax", "histogram", "percentile", "mse"])
def test_every_observer_finds_usable_ranges(observer: str) -> None:
    state = calibrate(float_state(), Quantize("int8", observer=observer), items(), generator=generator())
    assert least_agreement((outputs(state),), (outputs(float_state()),)) > 18


def test_percentile_drops_a_lone_value_and_mse_finds_less_error_than_min_max() -> None:
    values = torch.randn(100_000, generator=generator())
    values[0] = 20.0
    steps = {}
    for name in ("minmax", "percentile", "mse"):
        observer = OBSERVERS[name](
            dtype=torch.int8, qscheme=torch.per_tensor_affine, quant_min=-128, quant_max=127, eps=2**-12
        )
        observer(values)
        steps[name] = steps_of(observer)
    assert steps["minmax"].high > 19
    assert steps["percentile"].high < 6

    def error(name: str) -> float:
        one = steps[name]
        given = torch.fake_quantize_per_tensor_affine(values, one.scale, one.zero_point, -128, 127)
        return float((given - values).square().mean())

    assert error("mse") < 0.9 * error("minmax")


def test_layers_are_chosen_by_name_pattern_and_override() -> None:
    parameters = Quantize("int8", exclude=("re:.*tem",), overrides={"wide": "int4_weights", "narrow": "float"})
    spec = calibrate(float_state(), parameters, items(), generator=generator()).quantization
    schemes = {place: spec.scheme_of(place) for place in ("stem", "twice", "wide", "narrow")}
    assert schemes == {"stem": "float", "twice": "int8", "wide": "int4_weights", "narrow": "float"}
    with pytest.raises(UsageError, match="quantize: targets: no 'stemm'"):
        calibrate(float_state(), Quantize("int8", targets=("stemm",)), items(), generator=generator())


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([], "no batch"),
        ([(torch.zeros(4, 3, 9, 8),)], "has shape"),
        ([(torch.full((4, *SHAPE), float("nan")),)], "NaN or infinity"),
        ([(torch.zeros(4, *SHAPE, dtype=torch.int64),)], "int64"),
        ([()], "0 tensors"),
    ],
)
def test_calibration_that_does_not_fit_the_example_is_refused(batches: list[Any], match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        calibrate(float_state(), Quantize("int8"), batches, generator=generator())


def test_weights_that_are_nan_are_refused_by_name() -> None:
    graph = float_state().copied_graph()
    graph.get_parameter("wide.weight").data[0, 0] = float("nan")
    with pytest.raises(CompileError, match=r"wide\.weight holds NaN"):
        calibrate(replace(float_state(), graph=graph, cache={}), Quantize("int8"), items(), generator=generator())


def test_ranges_voided_by_an_edit_are_refused_until_found_again() -> None:
    state = quantized("int8")
    void = replace(state, quantization=state.quantization.void_activation_ranges(), cache={})
    with pytest.raises(CompileError, match="calibrate it again"):
        runnable(void)
    again = recalibrate(void, items(), items=64)
    assert again.quantization.ranges.keys() == state.quantization.ranges.keys()
    assert least_agreement((outputs(again),), (outputs(float_state()),)) > 25


@pytest.mark.parametrize("scheme", ["int8", "int8_dynamic", "int4_weights"])
def test_fake_quantization_computes_what_the_device_will_before_and_after_training(scheme: str) -> None:
    state = quantized(scheme)
    graph = training_graph(state)
    assert dict(graph.named_parameters()).keys() == dict(state.graph.named_parameters()).keys()
    images, targets = torch.cat([one for (one,) in items()]), torch.arange(64) % 5
    with torch.no_grad():
        assert least_agreement((graph(images),), (runnable(state)(images),)) > 60
    losses = trained(graph, images, targets)
    assert losses[-1] < 0.8 * losses[0]
    after = write_back(state, graph)
    with torch.no_grad():
        assert least_agreement((graph(images),), (runnable(after)(images),)) > 40
        assert functional.cross_entropy(runnable(after)(images), targets) < 0.9 * losses[0]
    assert not torch.equal(after.graph.get_parameter("stem.weight"), state.graph.get_parameter("stem.weight"))


def trained(graph: torch.fx.GraphModule, images: Tensor, targets: Tensor) -> list[float]:
    set_training(graph, training=True)
    for parameter in graph.parameters():
        parameter.requires_grad = True
    optimizer = torch.optim.Adam(graph.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = functional.cross_entropy(graph(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    set_training(graph, training=False)
    return losses


def spoiled_layer() -> ModelState:
    """One input channel of `wide` reaches 2000 times as far as the others, and matters not at all."""
    graph = float_state().copied_graph()
    with torch.no_grad():
        graph.get_parameter("norm.weight")[7] *= 2000
        graph.get_parameter("twice.weight")[:, 7] = 0
        graph.get_parameter("wide.weight")[:, 7] = 0
    return replace(float_state(), graph=graph, cache={})


def test_layers_are_ranked_by_error_with_the_cause() -> None:
    state = calibrate(spoiled_layer(), Quantize("int8", observer="minmax"), items(), generator=generator())
    errors = layer_errors(state, items(2))
    causes = {one.place: one.cause for one in errors}
    assert errors[0].sqnr_db < errors[-1].sqnr_db
    assert causes["wide"].startswith("outlier channel: input channel 7")
    assert unannotated_operators(state.graph)["aten.gelu.default"]


def test_a_bound_on_the_loss_leaves_float_only_what_it_must() -> None:
    state = spoiled_layer()
    wanted = outputs(state)

    def evaluate(candidate: ModelState) -> float:
        return -float((outputs(candidate) - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())

    parameters = Quantize("int8", observer="minmax", max_degradation=10.0)
    whole = calibrate(state, parameters, items(), generator=generator())
    assert evaluate(whole) < -0.1
    found = calibrate_within(state, parameters, items(), evaluate, generator=generator())
    assert found.held
    assert found.metric >= -0.1
    assert 0 < len(found.kept_float) < 4
    assert "layers stay float" in found.notes(10.0)[0]
