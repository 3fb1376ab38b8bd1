# SPDX-License-Identifier: Apache-2.0
"""Small real ExecuTorch programs for tests, each with golden tensors made by eager torch.

A program is built once per directory and left there: `NAME.pte`, `NAME.input0.npy`..., `NAME.output0.npy`....
Torch is imported only when something has to be built, so a warm directory costs nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.generic]


def small_cnn_program(directory: Path) -> Path:
    """Convolutions, ReLU and a linear layer in fp32, wholly in XNNPACK: float32 [1,1,8,8] -> float32 [1,10]."""
    return _built(directory, "small_cnn")


def conv_net_program(directory: Path) -> Path:
    """Some 30 million multiply-accumulates in fp32, wholly in XNNPACK: float32 [1,3,64,64] -> float32 [1,10]."""
    return _built(directory, "conv_net")


def two_input_program(directory: Path) -> Path:
    """Two inputs, two outputs, in XNNPACK: float32 [2,3], float32 [2,3] -> their sum and product."""
    return _built(directory, "two_input")


def portable_program(directory: Path) -> Path:
    """Nothing delegated: float32 [1,8] -> the cumulative sum of its sine, float32 [1,8]."""
    return _built(directory, "portable")


def embedding_program(directory: Path) -> Path:
    """Integer input, nothing delegated: int64 [1,3] with values in 0..3 -> float32 [1,3,2]; others fail to execute."""
    return _built(directory, "embedding")


def dynamic_batch_program(directory: Path) -> Path:
    """A batch of 1 to 4, in XNNPACK: float32 [b,6] -> float32 [b,2]; the golden batch is 2."""
    return _built(directory, "dynamic_batch")


def channels_last_program(directory: Path) -> Path:
    """The input and the second output lie channels last in memory: float32 [1,3,4,5] -> its double, twice."""
    return _built(directory, "channels_last")


def unplanned_program(directory: Path) -> Path:
    """No memory planned for inputs and outputs: float32 [2,3], float32 [2,3] -> their sum and product."""
    return _built(directory, "unplanned")


def layered_program(directory: Path) -> Path:
    """A delegate, a kernel between, a delegate: float32 [1,64] -> float32 [1,8]; the kernel is a cumulative sum."""
    return _built(directory, "layered")


def counting_program(directory: Path) -> Path:
    """A batch of 1 to 4 that shapes are computed from, nothing delegated: float32 [b,6] -> float32 [2b,3]."""
    return _built(directory, "counting")


def large_program(directory: Path) -> Path:
    """Some 59 MB of fp32 weights in four linear layers, wholly in XNNPACK: float32 [1,2048] -> float32 [1,1024]."""
    return _built(directory, "large")


def large_plan_program(directory: Path) -> Path:
    """A small file whose memory plan takes some 64 MB, nothing delegated: float32 [1] -> float32 [8000000]."""
    return _built(directory, "large_plan")


def missing_kernel_program(directory: Path) -> Path:
    """A valid program that needs `aten::sort.values`, which no linked kernel library has: float32 [1,8]."""
    return _built(directory, "missing_kernel")


def golden_inputs(program: Path) -> list[Path]:
    """The .npy inputs built with `program`, in order."""
    return sorted(program.parent.glob(f"{program.stem}.input*.npy"))


def golden_outputs(program: Path) -> list[Path]:
    """The .npy outputs that eager torch gives for `golden_inputs`, in order."""
    return sorted(program.parent.glob(f"{program.stem}.output*.npy"))


@cache
def _built(directory: Path, name: str) -> Path:
    path = directory / f"{name}.pte"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _build(path)
    return path


def _build(path: Path) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        source = _SOURCES[path.stem]()
        source.module.eval()
        with torch.no_grad():
            result = source.module(*source.inputs)
        program = _lower(source)
    outputs = result if isinstance(result, tuple) else (result,)
    for role, tensors in (("input", source.inputs), ("output", outputs)):
        for index, tensor in enumerate(tensors):
            _save(path.with_name(f"{path.stem}.{role}{index}.npy"), np.ascontiguousarray(tensor.numpy()))
    _replace(path, lambda stream_path: stream_path.write_bytes(program))


def _lower(source: _Source) -> bytes:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass

    exported = torch.export.export(source.module, source.inputs, dynamic_shapes=source.dynamic_shapes)
    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()] if source.delegate else [])
    planning = MemoryPlanningPass(alloc_graph_input=source.plan_io, alloc_graph_output=source.plan_io)
    return bytes(edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning)).buffer)


def _save(path: Path, array: Array) -> None:
    def write(target: Path) -> None:
        with target.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)

    _replace(path, write)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Two test sessions may build into one directory: neither sees the other's half-written file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    write(Path(temporary))
    Path(temporary).replace(path)


@dataclass(frozen=True, slots=True)
class _Source:
    """A model, its example inputs, and how it is lowered."""

    module: torch.nn.Module
    inputs: tuple[torch.Tensor, ...]
    dynamic_shapes: tuple[dict[int, Any], ...] | None = None
    delegate: bool = True
    plan_io: bool = True


def _small_cnn() -> _Source:
    import torch
    from torch import nn

    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    return _Source(module, (torch.randn(1, 1, 8, 8),))


def _conv_net() -> _Source:
    import torch
    from torch import nn

    module = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 16 * 16, 10),
    )
    return _Source(module, (torch.randn(1, 3, 64, 64),))


def _two_input() -> _Source:
    import torch

    class SumAndProduct(torch.nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return left + right, left * right

    return _Source(SumAndProduct(), (torch.randn(2, 3), torch.randn(2, 3)))


def _portable() -> _Source:
    import torch

    class SineSum(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(torch.sin(values), 1)

    return _Source(SineSum(), (torch.randn(1, 8),), delegate=False)


def _embedding() -> _Source:
    import torch

    return _Source(torch.nn.Embedding(4, 2), (torch.tensor([[0, 3, 1]]),), delegate=False)


def _dynamic_batch() -> _Source:
    import torch

    shapes = ({0: torch.export.Dim("batch", min=1, max=4)},)
    return _Source(torch.nn.Linear(6, 2), (torch.randn(2, 6),), dynamic_shapes=shapes)


def _channels_last() -> _Source:
    import torch

    class Doubles(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return values.contiguous() * 2, values + values

    image = torch.randn(1, 3, 4, 5).to(memory_format=torch.channels_last)
    return _Source(Doubles(), (image,), delegate=False)


def _unplanned() -> _Source:
    return replace(_two_input(), delegate=False, plan_io=False)


def _layered() -> _Source:
    import torch
    from torch import nn

    class Layered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512))
            self.after = nn.Linear(512, 8)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            after: torch.Tensor = self.after(torch.cumsum(self.before(values), 1))
            return after

    return _Source(Layered(), (torch.randn(1, 64),))


def _counting() -> _Source:
    import torch

    class Counting(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.sin(values.reshape(values.shape[0] * 2, 3))

    shapes = ({0: torch.export.Dim("batch", min=1, max=4)},)
    return _Source(Counting(), (torch.randn(2, 6),), dynamic_shapes=shapes, delegate=False)


def _large() -> _Source:
    import torch
    from torch import nn

    layers = [nn.Linear(2048, width) for width in (2048, 2048, 2048, 1024)]
    return _Source(nn.Sequential(*layers), (torch.randn(1, 2048),))


def _large_plan() -> _Source:
    import torch

    class Sines(torch.nn.Module):
        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return torch.sin(torch.sin(value.repeat(8_000_000)))

    return _Source(Sines(), (torch.randn(1),), delegate=False)


def _missing_kernel() -> _Source:
    import torch

    class Sorted(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.sort(values, dim=1).values

    return _Source(Sorted(), (torch.randn(1, 8),), delegate=False)


_SOURCES: dict[str, Callable[[], _Source]] = {
    "small_cnn": _small_cnn,
    "conv_net": _conv_net,
    "two_input": _two_input,
    "portable": _portable,
    "embedding": _embedding,
    "dynamic_batch": _dynamic_batch,
    "channels_last": _channels_last,
    "unplanned": _unplanned,
    "layered": _layered,
    "counting": _counting,
    "large": _large,
    "large_plan": _large_plan,
    "missing_kernel": _missing_kernel,
}
