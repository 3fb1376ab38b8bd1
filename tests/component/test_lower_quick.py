# SPDX-License-Identifier: Apache-2.0
"""Lowering without repetition gives the bytes that the libraries' own way gives, and leaves them as they were."""

from __future__ import annotations

import gc

import pytest
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.quantize import calibrate, materialize
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.lower.flow import emit
from edgectl.lower.quick import quick_lowering
from edgectl_protos.errors import CompileError
from executorch.exir.pass_base import _ExportPassBase
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import traceback


class Mixed(nn.Module):
    """What XNNPACK's passes edit: convolutions over one and two dimensions, batch norm, PReLU, a pad, a sum, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.slope, self.second = nn.PReLU(1), nn.Conv2d(8, 8, 3, groups=8)
        self.line, self.head = nn.Conv1d(8, 4, 3), nn.Linear(4, 5)

    def forward(self, image: Tensor) -> Tensor:
        wide = self.slope(self.norm(self.first(image)))
        added = torch.relu(self.second(nn.functional.pad(wide, (1, 1, 1, 1)))) + wide
        pooled = nn.functional.max_pool2d(added, 2)
        given: Tensor = self.head(self.line(pooled.flatten(2)).mean(-1))
        return torch.softmax(given, -1)


def exported(*, quantized: bool) -> ExportedProgram:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        carrier = export_model(Mixed(), (torch.randn(1, 3, 8, 8),))
    state = ModelState(carrier.graph, carrier.example_inputs)
    if quantized:
        state = calibrate(state, Quantize("int8"), [state.example_inputs], generator=torch.Generator().manual_seed(0))
    return materialize(state)


@pytest.mark.parametrize("quantized", [False, True])
def test_the_bytes_are_those_of_the_libraries_own_way(*, quantized: bool) -> None:
    program = exported(quantized=quantized)
    slow, report, _ = emit(program, delegate=True, verified=True)
    with quick_lowering():
        quick, same, _ = emit(program, delegate=True, verified=False)
    assert quick == slow
    assert same.document() == report.document()


def test_everything_replaced_is_put_back_also_after_an_error() -> None:
    places = ((_ExportPassBase, "call"), (traceback.NodeSource, "__init__"), (ExportedProgram, "_validate"))
    before = [getattr(owner, name) for owner, name in places]
    thresholds = gc.get_threshold()

    def fail_inside() -> None:
        with quick_lowering():
            assert getattr(*places[0]) is not before[0]
            raise CompileError("any")

    with pytest.raises(CompileError, match="any"):
        fail_inside()
    assert [getattr(owner, name) for owner, name in places] == before
    assert gc.get_threshold() == thresholds
