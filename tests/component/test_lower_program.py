# SPDX-License-Identifier: Apache-2.0
"""Lowering for real: what is delegated, how large it gets, and that the program computes what eager torch does."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.quantize import calibrate
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.lower.check import check_outputs
from edgectl.lower.golden import make_golden
from edgectl.lower.program import LoweredProgram, lower, lower_graph
from edgectl_protos.errors import CompileError
from edgectl_protos.tensors import TensorSpec
from torch import Tensor, nn

ITEMS = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Pooled(nn.Module):
    """Convolution, batch norm, ReLU, max pooling, a global average pool spelled in one of several ways, linear."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling = spelling
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(4, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        plane = self.body(inputs)
        if self.spelling == "adaptive":
            pooled = nn.functional.adaptive_avg_pool2d(plane, 1).flatten(1)
        elif self.spelling == "average":
            pooled = nn.functional.avg_pool2d(plane, 4).flatten(1)
        elif self.spelling == "mean":
            pooled = plane.mean([2, 3])
        else:
            pooled = plane.mean([-1, -2], keepdim=True).flatten(1)
        logits: Tensor = self.head(pooled)
        return logits


class SineSum(nn.Module):
    """A delegated convolution, and a cumulative sum that no delegate takes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cumsum(self.convolution(inputs), 1)


@cache
def pooled(spelling: str, *, quantized: bool = False) -> tuple[ModelState, LoweredProgram]:
    """Lowering takes a second or more: each spelling is lowered once for all tests."""
    state = state_of(Pooled(spelling), quantized=quantized)
    return state, lower(state)


def state_of(module: nn.Module, *, quantized: bool = False) -> ModelState:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
    state = ModelState(export_model(module, (ITEMS[:1],)).graph, (ITEMS[:1],))
    return (
        calibrate(state, Quantize("int8"), [ITEMS], generator=torch.Generator().manual_seed(0)) if quantized else state
    )


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("spelling", ["adaptive", "average", "mean", "mean_kept"])
def test_every_spelling_of_a_global_average_pool_is_delegated_and_right(spelling: str, *, quantized: bool) -> None:
    state, program = pooled(spelling, quantized=quantized)
    assert program.delegation.undelegated == {}
    assert program.delegation.fraction == 1.0
    assert program.delegates == ("XnnpackBackend",)
    golden = make_golden(state, ITEMS)
    assert check_outputs(program, golden) <= golden.tolerance.absolute


def test_report_counts_the_same_operators_in_float_and_int8() -> None:
    reports = [pooled("adaptive", quantized=quantized)[1].delegation for quantized in (False, True)]
    wanted = {"convolution": 1, "relu": 1, "max_pool2d": 1, "mean": 1, "view_copy": 1, "linear": 1}
    for report in reports:
        named = {name.split(".")[1]: count for name, count in report.delegated.items()}
        named.pop("_native_batch_norm_legit_no_training", None)  # folded into the convolution before quantization
        assert named == wanted


def test_operator_that_falls_out_is_named() -> None:
    program = lower(state_of(SineSum()))
    assert program.delegation.undelegated == {"aten.cumsum.default": 1}
    assert program.delegation.fraction == 0.5


def test_specification_of_inputs_and_outputs() -> None:
    _, program = pooled("adaptive")
    assert program.inputs == (TensorSpec("float32", (1, 1, 8, 8)),)
    assert program.outputs == (TensorSpec("float32", (1, 10)),)


def test_lowering_twice_gives_the_same_bytes() -> None:
    _, program = pooled("mean", quantized=True)
    assert lower(state_of(Pooled("mean"), quantized=True)).data == program.data


def test_int8_is_three_and_a_half_times_smaller_from_150_000_parameters() -> None:
    def module() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 64, 3),
            nn.ReLU(),
            nn.Conv2d(64, 256, 3),
            nn.ReLU(),
            nn.AvgPool2d(4),
            nn.Flatten(),
            nn.Linear(256, 10),
        )

    count = sum(parameter.numel() for parameter in module().parameters())
    assert 150_000 <= count <= 160_000
    sizes = [len(lower(state_of(module(), quantized=quantized)).data) for quantized in (False, True)]
    assert sizes[0] >= 3.5 * sizes[1]


def test_program_that_computes_something_else_fails_the_check() -> None:
    state, program = pooled("mean")
    golden = make_golden(state, -ITEMS)
    wrong = tuple(
        dataclasses.replace(case, inputs=(np.negative(case.inputs[0].astype(np.float32)),)) for case in golden.cases
    )
    with pytest.raises(CompileError, match="away from the model's"):
        check_outputs(program, dataclasses.replace(golden, cases=wrong))


def test_damaged_program_fails_the_check() -> None:
    state, whole = pooled("mean")
    program = dataclasses.replace(whole, data=b"no program" * 100)
    with pytest.raises(CompileError, match="does not run"):
        check_outputs(program, make_golden(state, ITEMS))


def test_model_that_gives_nan_has_no_golden_cases() -> None:
    with pytest.raises(CompileError, match="NaN or infinity"):
        make_golden(pooled("mean")[0], ITEMS * float("inf"))


def test_no_items_give_no_golden_cases() -> None:
    with pytest.raises(CompileError, match="no items"):
        make_golden(pooled("mean")[0], ITEMS[:0])


def test_golden_cases_are_the_first_items_one_by_one() -> None:
    golden = make_golden(pooled("mean")[0], ITEMS)
    assert len(golden.cases) == 3
    for index, case in enumerate(golden.cases):
        assert np.array_equal(case.inputs[0], ITEMS[index : index + 1].numpy())
        assert case.outputs[0].shape == (1, 10)


def test_input_of_a_dtype_no_program_takes_is_said_in_one_line() -> None:
    graph = pooled("mean")[0].graph
    with pytest.raises(CompileError, match="dtype 'complex64'") as caught:
        lower_graph(graph, (ITEMS[:1].to(torch.complex64),))
    assert "\n" not in caught.value.message


def test_graph_that_does_not_fit_its_inputs_is_said_in_one_line() -> None:
    graph = pooled("mean")[0].graph
    with pytest.raises(CompileError, match="cannot be exported") as caught:
        lower_graph(graph, (torch.zeros(1, 7, 8, 8),))
    assert "\n" not in caught.value.message


def test_importing_lower_does_not_import_torch() -> None:
    code = (
        "import sys, edgectl.lower.bundle, edgectl.lower.inspect, edgectl.lower.check, edgectl.workflows.compress_run;"
        "print([name for name in ('torch', 'executorch', 'torchao') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"
