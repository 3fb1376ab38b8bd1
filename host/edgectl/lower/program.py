# SPDX-License-Identifier: Apache-2.0
"""From a model's state to an ExecuTorch program with XNNPACK, and what came of each operator."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import CompileError, InputError
from edgectl_protos.tensors import TensorSpec

from edgectl.compress.reasons import first_line
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lower.delegation import DelegationReport, delegation_of

if TYPE_CHECKING:
    import torch
    from torch import fx
    from torch.export import ExportedProgram

    from edgectl.compress.state import ModelState


@dataclass(frozen=True, slots=True)
class LoweredProgram:
    """A .pte and what a device and a reader need to know of it; `seconds` is what lowering took."""

    data: bytes
    delegation: DelegationReport
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    delegates: tuple[str, ...]
    seconds: float


def runtime_version() -> str:
    """The runtime a program lowered here needs: `executorch MAJOR.MINOR.PATCH`."""
    return f"executorch {metadata.version('executorch').split('+')[0]}"


def lower(state: ModelState, *, work: Work = NEVER_PAUSED) -> LoweredProgram:
    """Lower what `materialize(state)` gives: batch 1, float or int8. `work` breathes between phases.

    Raises:
        CompileError: in one line, what the exporter, the partitioner or the emitter would not take.
    """
    from edgectl.compress.materialize import materialize

    return lower_graph(materialize(state, work=work), state.example_inputs, work=work)


def lower_graph(
    graph: fx.GraphModule, example_inputs: tuple[torch.Tensor, ...], *, work: Work = NEVER_PAUSED
) -> LoweredProgram:
    """Lower a graph as it stands, for inputs of exactly the shapes and dtypes of `example_inputs`.

    Raises:
        CompileError: see `lower`.
    """
    started = time.perf_counter()
    inputs = tuple(tensor_spec(tensor) for tensor in example_inputs)
    with work.working("lowering"), library_noise_silenced():
        exported = _exported(graph, example_inputs, work)
        try:
            data, report, delegates = _lowered(exported, work)
        except Exception as error:
            raise compile_error("the model cannot be lowered", error) from error
    return LoweredProgram(
        data=data,
        delegation=report,
        inputs=inputs,
        outputs=_output_specs(exported),
        delegates=delegates,
        seconds=time.perf_counter() - started,
    )


def tensor_spec(tensor: torch.Tensor) -> TensorSpec:
    """The specification of a tensor (or fake tensor) with a static shape.

    Raises:
        CompileError: a dtype no program takes, or a size that is not a number.
    """
    try:
        return TensorSpec(str(tensor.dtype).removeprefix("torch."), tuple(int(size) for size in tensor.shape))
    except InputError as error:
        raise CompileError(
            error.seen, expected=error.expected, action="change the model's inputs or outputs"
        ) from error


def compile_error(what: str, error: Exception) -> CompileError:
    """`what`, and the first line that says anything of an error which may run over pages."""
    return CompileError(
        f"{what}: {first_line(error)}",
        expected="operators that torch.export and ExecuTorch take",
        action="change the model where the message points",
    )


def _exported(graph: fx.GraphModule, example_inputs: tuple[torch.Tensor, ...], work: Work) -> ExportedProgram:
    import torch

    from edgectl.lower.rewrites import rewrite_for_delegate

    try:
        exported = torch.export.export(graph, example_inputs)
        unlifted: Any = exported.module()
        if rewrite_for_delegate(unlifted):
            work.breathe()
            exported = torch.export.export(unlifted, example_inputs)
    except Exception as error:
        raise compile_error("the model cannot be exported", error) from error
    return exported


def _lowered(exported: ExportedProgram, work: Work) -> tuple[bytes, DelegationReport, tuple[str, ...]]:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    work.breathe()
    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    report, delegates = delegation_of(edge.exported_program())  # to_executorch rewrites the program in place
    work.breathe()
    return bytes(edge.to_executorch().buffer), report, delegates


def _output_specs(exported: ExportedProgram) -> tuple[TensorSpec, ...]:
    output = next(node for node in exported.graph.nodes if node.op == "output")
    names = set(exported.graph_signature.user_outputs)
    nodes = [node for node in output.args[0] if getattr(node, "name", None) in names]
    return tuple(tensor_spec(node.meta["val"]) for node in nodes)


@contextmanager
def library_noise_silenced() -> Iterator[None]:
    """Warnings of torch and executorch here are about their own internals; the report says what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
