# SPDX-License-Identifier: Apache-2.0
"""`edgectl.lower.lower`: any model to a program that was run and compared with eager torch before it is given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import CompileError, UndelegatedError, UsageError

from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lower.agreement import LEAST_AGREEMENT, least_agreement
from edgectl.lower.delegation import DelegationReport
from edgectl.lower.faulty_layers import lower_without_faulty_layers
from edgectl.lower.flow import LoweringOptions, export_subject, lower_exported
from edgectl.lower.program import Program, library_noise_silenced
from edgectl.lower.target_check import check_target
from edgectl.targets import load_target

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.export import ExportedProgram

# Tried in this order until a program agrees with eager torch.
_ATTEMPTS = (
    (LoweringOptions(), ""),
    (LoweringOptions(rewrites=False), "lowered without rewrites"),
    (LoweringOptions(rewrites=False, delegate=False), "lowered without the delegate: it will be slow"),
)


def lower(
    subject: Any,
    *,
    target: str = "generic",
    example_inputs: tuple[Any, ...] | None = None,
    example_kwargs: Mapping[str, Any] | None = None,
    check: bool = True,
    fail_on_fallback: bool = False,
    work: Work = NEVER_PAUSED,
) -> Program:
    """Lower a model to an ExecuTorch program.

    Args:
        subject: the result of a pipeline, a `ModelState`, or a plain `nn.Module` (in eval mode while it is exported,
            then as it was).
        target: a target's name (`edgectl targets list`). Programs are the same for all; one that takes more memory than
            the target has is refused, and what runs there but not well is in the program's notes.
        example_inputs: for a module: what its `forward` takes, at the size that the program is to take.
        example_kwargs: for a module: keyword arguments of `forward`.
        check: run the program on the example and compare with eager torch; where they differ, lower again without
            rewrites, then without the delegate, and say so in the program's notes.
        fail_on_fallback: refuse a program with operators outside the delegate.
        work: breathes between phases.

    Raises:
        CompileError: it cannot be exported or lowered, no way of lowering it gives the model's outputs, or the target
            has not the memory for it.
        UndelegatedError: see `fail_on_fallback`.
        UsageError: a module without `example_inputs`, a subject that is none of the three, an unknown target.
    """
    wanted = load_target(target)
    state = getattr(subject, "state", subject)
    if _is_state(state):
        if example_inputs is not None or example_kwargs:
            raise UsageError("example_inputs for a state, which holds its own", action="leave them out")
        program = _lowered_state(state, check=check, work=work)
    else:
        program = _lowered_module(subject, example_inputs, example_kwargs, check=check, work=work)
    if fail_on_fallback:
        refuse_outside(program.delegation)
    return replace(program, notes=(*program.notes, *check_target(program, wanted).remarks))


def refuse_outside(delegation: DelegationReport) -> None:
    """Refuse a program with operators outside the delegate.

    Raises:
        UndelegatedError: it names the first of them, where it comes from, and why.
    """
    outside = delegation.outside
    if outside:
        first = outside[0]
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        raise UndelegatedError(
            f"{first.operator} at {first.place}{more} outside the delegate: {first.reason}",
            expected="every operator in the delegate",
            action="change the model there, or allow operators outside",
        )


def _is_state(value: Any) -> bool:
    return hasattr(value, "graph") and hasattr(value, "example_inputs") and hasattr(value, "quantization")


def _lowered_module(
    module: Any, inputs: Any, keywords: Mapping[str, Any] | None, *, check: bool, work: Work
) -> Program:
    import torch
    from torch import nn

    if not isinstance(module, nn.Module):
        raise UsageError(
            f"a {type(module).__name__} to lower",
            expected="the result of a pipeline, a ModelState or a torch.nn.Module",
        )
    if inputs is None and not keywords:
        raise UsageError("a module without example_inputs", expected="what its forward takes, as a tuple")
    arguments = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs or ())
    with _in_eval_mode(module):
        exported = export_subject(module, arguments, keywords)
    return _agreeing(exported, check=check, precision="float32", work=work)


def _lowered_state(state: Any, *, check: bool, work: Work) -> Program:
    from edgectl.compress.quantize import materialize

    precision = "float32" if state.quantization is None else "int8"

    def whole(exported: ExportedProgram) -> Program:
        program = lower_exported(exported, work=work)
        return _Reference.of(exported).compared(program, precision) if check else program

    with library_noise_silenced():
        exported = materialize(state, work=work)
        if state.quantization is not None:
            try:
                return whole(exported)
            except CompileError:
                with suppress(CompileError):
                    return lower_without_faulty_layers(state, whole)
    return _agreeing(exported, check=check, precision=precision, work=work)


def _agreeing(exported: ExportedProgram, *, check: bool, precision: str, work: Work) -> Program:
    """The first program of the attempts whose outputs are eager torch's."""
    reference = _Reference.of(exported) if check else None
    notes: list[str] = []
    last = CompileError("there is no way of lowering it")
    for options, note in _ATTEMPTS:
        try:
            program = lower_exported(exported, work=work, options=options)
            if reference is not None:
                program = reference.compared(program, precision)
        except CompileError as error:
            last = error
            notes.append(error.seen)
            continue
        said = (*notes, note) if note else ()
        unsure = reference is not None and not reference.repeats
        return replace(
            program,
            notes=(*said, "its outputs differ from run to run in eager torch: not compared") if unsure else said,
        )
    raise last


@dataclass(frozen=True, slots=True)
class _Reference:
    """What eager torch gives for the example; `repeats` is false where a second run gives something else."""

    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]
    repeats: bool

    @classmethod
    def of(cls, exported: ExportedProgram) -> _Reference:
        import torch
        from torch.utils import _pytree

        arguments, keywords = exported.example_inputs or ((), {})
        inputs = tuple(leaf for leaf in _pytree.tree_leaves((arguments, keywords)) if isinstance(leaf, torch.Tensor))

        def outputs() -> tuple[torch.Tensor, ...]:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                given = exported.module(check_guards=False)(*arguments, **keywords)
            return tuple(leaf for leaf in _pytree.tree_leaves(given) if isinstance(leaf, torch.Tensor))

        first, second = outputs(), outputs()
        return cls(inputs, first, least_agreement(first, second) > LEAST_AGREEMENT["float32"])

    def compared(self, program: Program, precision: str) -> Program:
        """The program with its agreement.

        Raises:
            CompileError: it does not run, or its outputs are not eager torch's.
        """
        agreement = least_agreement(program.run(self.inputs), self.outputs)
        if self.repeats and agreement < LEAST_AGREEMENT[precision]:
            raise CompileError(
                f"the lowered program's outputs are {agreement:.0f} dB over their difference from the model's",
                expected=f"at least {LEAST_AGREEMENT[precision]:.0f} dB",
                action="report the model: the lowering is wrong",
            )
        return replace(program, agreement=agreement if self.repeats else None)


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
