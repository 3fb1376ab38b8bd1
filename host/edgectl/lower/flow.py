# SPDX-License-Identifier: Apache-2.0
"""From an exported program to a .pte with XNNPACK: rewrites, partitioning, emission."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import EdgectlError

from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lower.delegation import DelegationReport, delegation_of
from edgectl.lower.program import TENSOR, Program, compile_error, library_noise_silenced, tensor_spec
from edgectl.lower.program_memory import program_memory
from edgectl.lower.quick import quick_lowering
from edgectl.lower.reasons import partition_reasons

if TYPE_CHECKING:
    from edgectl_protos.tensors import TensorSpec
    from torch import nn
    from torch.export import ExportedProgram

    from edgectl.compress.state import ModelState


@dataclass(frozen=True, slots=True)
class LoweringOptions:
    """How to lower: with the rewrites, and with the delegate; both unless a first try went wrong."""

    rewrites: bool = True
    delegate: bool = True


def lower_state(
    state: ModelState,
    *,
    work: Work = NEVER_PAUSED,
    options: LoweringOptions = LoweringOptions(),
) -> Program:
    """Lower a state as it stands, float or quantized.

    Raises:
        CompileError: in one line, what the exporter, the partitioner or the emitter would not take.
    """
    from edgectl.compress.materialize import materialize_program

    with library_noise_silenced():
        exported = materialize_program(state, work=work)
    return lower_exported(exported, work=work, options=options)


def export_subject(
    module: nn.Module, example_inputs: tuple[Any, ...], example_kwargs: Mapping[str, Any] | None = None
) -> ExportedProgram:
    """Export a module in the mode it is in, for inputs of exactly these shapes and dtypes.

    Raises:
        CompileError: torch.export does not take it, or no program takes an input's dtype.
    """
    import torch
    from torch.utils import _pytree

    for leaf in _pytree.tree_leaves((example_inputs, dict(example_kwargs or {}))):
        if isinstance(leaf, torch.Tensor):
            tensor_spec(leaf)
    try:
        with library_noise_silenced(), torch.no_grad():
            return torch.export.export(module, example_inputs, dict(example_kwargs or {}))
    except Exception as error:
        raise compile_error("the model cannot be exported", error) from error


def lower_exported(
    exported: ExportedProgram,
    *,
    work: Work = NEVER_PAUSED,
    options: LoweringOptions = LoweringOptions(),
) -> Program:
    """Lower an exported program, which stays as it is.

    Raises:
        CompileError: see `lower_state`.
    """
    started = time.perf_counter()
    inputs, arguments = _inputs(exported)
    with work.working("lowering"), library_noise_silenced():
        try:
            if options.rewrites:
                exported = _rewritten(exported, work)
            data, report, delegates = _lowered(exported, work, delegate=options.delegate)
            memory = program_memory(data)
        except EdgectlError:
            raise
        except Exception as error:
            raise compile_error("the model cannot be lowered", error) from error
    return Program(
        data=data,
        delegation=report,
        inputs=inputs,
        outputs=_output_specs(exported),
        delegates=delegates,
        seconds=time.perf_counter() - started,
        arguments=arguments,
        memory=memory,
    )


def _rewritten(exported: ExportedProgram, work: Work) -> ExportedProgram:
    import torch

    from edgectl.lower.rewrites import rewrite_for_delegate

    unlifted: Any = exported.module(check_guards=False)
    if not rewrite_for_delegate(unlifted):
        return exported
    work.breathe()
    arguments, keywords = exported.example_inputs or ((), {})
    return torch.export.export(unlifted, arguments, keywords)


def _lowered(
    exported: ExportedProgram, work: Work, *, delegate: bool
) -> tuple[bytes, DelegationReport, tuple[str, ...]]:
    """Lower quickly; should that fail, as slowly as the libraries do it, and let that decide."""
    work.breathe()
    try:
        with quick_lowering():
            return emit(exported, delegate=delegate, verified=False, work=work)
    except KeyboardInterrupt:
        raise
    except Exception:  # noqa: BLE001 - whatever the reason, the libraries' own way has the last word
        work.breathe()
        return emit(exported, delegate=delegate, verified=True, work=work)


def emit(
    exported: ExportedProgram, *, delegate: bool, verified: bool, work: Work = NEVER_PAUSED
) -> tuple[bytes, DelegationReport, tuple[str, ...]]:
    """The .pte of an exported program, what became of its operators, and the delegates in it.

    Raises:
        Exception: whatever ExecuTorch raises.
    """
    import executorch.kernels.quantized  # noqa: F401 - so that a quantize outside the delegate has a kernel
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    with partition_reasons() as reasons:
        edge = to_edge_transform_and_lower(
            exported,
            partitioner=[XnnpackPartitioner()] if delegate else [],
            compile_config=EdgeCompileConfig(_check_ir_validity=verified),
        )
    report, delegates = delegation_of(edge.exported_program(), reasons)  # to_executorch rewrites it in place
    work.breathe()
    return bytes(edge.to_executorch().buffer), report, delegates


def _inputs(exported: ExportedProgram) -> tuple[tuple[TensorSpec, ...], tuple[Any, ...]]:
    """The specifications of the tensors that go in, and every argument of the method in order."""
    from torch.export.graph_signature import ConstantArgument, InputKind

    values = {node.name: node.meta.get("val") for node in exported.graph.nodes if node.op == "placeholder"}
    specs: list[TensorSpec] = []
    arguments: list[Any] = []
    for item in exported.graph_signature.input_specs:
        if item.kind != InputKind.USER_INPUT:
            continue
        if isinstance(item.arg, ConstantArgument):
            arguments.append(item.arg.value)
        else:
            specs.append(tensor_spec(values[item.arg.name]))
            arguments.append(TENSOR)
    return tuple(specs), tuple(arguments)


def _output_specs(exported: ExportedProgram) -> tuple[TensorSpec, ...]:
    output = next(node for node in exported.graph.nodes if node.op == "output")
    names = set(exported.graph_signature.user_outputs)
    nodes = [node for node in output.args[0] if getattr(node, "name", None) in names]
    return tuple(tensor_spec(node.meta["val"]) for node in nodes if hasattr(node.meta.get("val"), "dtype"))
