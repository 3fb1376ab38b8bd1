# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the agent share: small real programs of several kinds as bundles, and the agent's process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
from edgectl.compress.carrier import export_model
from edgectl.compress.quantize import calibrate
from edgectl.compress.stages import Quantize
from edgectl.compress.state import ModelState
from edgectl.lower.bundle import write_bundle
from edgectl.lower.golden import GoldenSet, make_golden
from edgectl.lower.program import LoweredProgram, lower
from edgectl.targets import load_target
from edgectl_protos.bundle import BundleInfo
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class SmallProgram:
    """A lowered program and its golden cases."""

    kind: str
    program: LoweredProgram
    golden: GoldenSet

    def write(self, path: Path, *, name: str, version: str, data: bytes | None = None) -> BundleInfo:
        """A bundle at `path`; with `data`, one that is properly made around these bytes as its program."""
        return write_bundle(
            path,
            program=self.program if data is None else replace(self.program, data=data),
            name=name,
            version=version,
            golden=self.golden.cases,
            tolerance=self.golden.tolerance,
            labels=(),
            target=load_target("generic"),
            provenance={"kind": self.kind},
        )


class SineSum(nn.Module):
    """No delegate takes it: kernels of the portable library alone."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.cumsum(torch.sin(values), 1)


def conv_net(width: int = 8) -> nn.Module:
    """Takes float32 [N, 1, 16, 16], gives [N, 10]."""
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * width, 10))


def linear() -> nn.Module:
    """Takes float32 [N, 1, 16, 16], gives [N, 10]."""
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10))


def sine_sum() -> nn.Module:
    """Takes float32 [N, 1, 16, 16], gives [N, 256]."""
    return nn.Sequential(nn.Flatten(), SineSum())


MODELS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "fp32": (conv_net, False),
    "int8": (conv_net, True),
    "linear": (linear, False),
    "portable": (sine_sum, False),
}


def small_program(kind: str) -> SmallProgram:
    """One of `MODELS`, lowered; the same bytes every time."""
    build, quantized = MODELS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        module, items = build().eval(), torch.randn(16, 1, 16, 16)
    state = ModelState(export_model(module, (items[:1],)).graph, (items[:1],))
    if quantized:
        state = calibrate(state, Quantize("int8"), [items], generator=torch.Generator().manual_seed(7))
    return SmallProgram(kind, lower(state), make_golden(state, items))


def agent_process() -> psutil.Process:
    """The agent that this process has started."""
    (agent,) = (child for child in psutil.Process(os.getpid()).children() if "edgectl_agent" in child.cmdline())
    return agent


def processes_about(folder: Path) -> set[int]:
    """The processes that name something in `folder` in their command."""
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.pid != os.getpid() and any(str(folder) in word for word in process.info["cmdline"] or ())
    }
