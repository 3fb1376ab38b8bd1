# SPDX-License-Identifier: Apache-2.0
"""A lowered program: its bytes, what a delegate took of it, and running it on this machine.

`lower` and `lower_graph` here are what other parts of edgectl call; a user calls `edgectl.lower.lower`.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import CompileError, InputError, UsageError
from edgectl_protos.tensors import TensorSpec

from edgectl.compress.reasons import first_line
from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lower.delegation import DelegationReport
from edgectl.lower.program_memory import ProgramMemory

if TYPE_CHECKING:
    import torch
    from torch import fx

    from edgectl.compress.state import ModelState

TENSOR = object()  # in `Program.arguments`: a tensor goes here


@dataclass(frozen=True, slots=True)
class Program:
    """A .pte and what a device and a reader need to know of it.

    `seconds` is what lowering took. `notes` say what lowering had to do differently from what was asked. `arguments`
    are the method's inputs in order: `TENSOR`, or a constant that the model was exported with. `agreement` is the
    signal-to-noise ratio in dB of its outputs against eager torch's, the least over all outputs; None unless compared.
    `memory` is what it will take on a device; None where that is not known.
    """

    data: bytes = field(repr=False)
    delegation: DelegationReport
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    delegates: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    arguments: tuple[Any, ...] = field(default=(), repr=False)
    agreement: float | None = None
    memory: ProgramMemory | None = None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the program to `path`, whole or not at all.

        Raises:
            UsageError: it cannot be written there.
        """
        destination, temporary = Path(path), None
        try:
            handle, text = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
            temporary = Path(text)
            with os.fdopen(handle, "wb") as stream:
                stream.write(self.data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(destination)
        except OSError as error:
            raise UsageError(
                f"{destination} cannot be written ({error.strerror or error})",
                action="choose a file in a folder that exists and has room",
            ) from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        return destination

    def run(self, inputs: Iterable[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The program's outputs for `inputs`, computed on this machine by ExecuTorch's Python binding.

        Args:
            inputs: one tensor per entry of `self.inputs`, of exactly that shape and dtype.

        Raises:
            InputError: another number of tensors, another shape or dtype.
            CompileError: the program does not run here.
        """
        import torch

        given = tuple(inputs)
        _check_inputs(given, self.inputs)
        try:
            with library_noise_silenced():  # the binding warns that it is experimental; both are pinned
                from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer

                module = _load_for_executorch_from_buffer(self.data)  # the binding does not own the bytes: self does
            results = module.forward(self._arguments(given))
            return tuple(value.clone() for value in results if isinstance(value, torch.Tensor))
        except Exception as error:
            raise compile_error("the lowered program does not run", error) from error

    def _arguments(self, given: tuple[torch.Tensor, ...]) -> list[Any]:
        tensors = iter([tensor.detach().contiguous() for tensor in given])
        if not self.arguments:
            return list(tensors)
        return [next(tensors) if argument is TENSOR else argument for argument in self.arguments]


LoweredProgram = Program


def _check_inputs(given: tuple[Any, ...], expected: tuple[TensorSpec, ...]) -> None:
    import torch

    if len(given) != len(expected):
        raise InputError(f"{len(given)} inputs", expected=f"{len(expected)}")
    for index, (tensor, spec) in enumerate(zip(given, expected, strict=True)):
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"input {index} is a {type(tensor).__name__}", expected="a torch.Tensor")
        dtype, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
        if dtype != spec.dtype or shape != tuple(spec.shape):
            raise InputError(f"input {index} is {dtype} {list(shape)}", expected=f"{spec.dtype} {list(spec.shape)}")


def runtime_version() -> str:
    """The runtime a program lowered here needs: `executorch MAJOR.MINOR.PATCH`."""
    return f"executorch {metadata.version('executorch').split('+')[0]}"


def lower(state: ModelState, *, work: Work = NEVER_PAUSED) -> Program:
    """Lower what `materialize(state)` gives, float or quantized. `work` breathes between phases.

    Raises:
        CompileError: in one line, what the exporter, the partitioner or the emitter would not take.
    """
    from edgectl.lower.flow import lower_state

    return lower_state(state, work=work)


def lower_graph(
    graph: fx.GraphModule, example_inputs: tuple[torch.Tensor, ...], *, work: Work = NEVER_PAUSED
) -> Program:
    """Lower a graph as it stands, for inputs of exactly the shapes and dtypes of `example_inputs`.

    Raises:
        CompileError: see `lower`.
    """
    from edgectl.lower.flow import export_subject, lower_exported

    return lower_exported(export_subject(graph, example_inputs), work=work)


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


@contextmanager
def library_noise_silenced() -> Iterator[None]:
    """Warnings of torch and executorch here are about their own internals; the report says what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
