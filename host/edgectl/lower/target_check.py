# SPDX-License-Identifier: Apache-2.0
"""Whether a lowered program suits a target, before anything is written or sent.

Too much memory is refused. What runs there but not well (an element type the processor does not compute in, operators
outside the delegate) is remarked on, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import CompileError

from edgectl.targets import Target

if TYPE_CHECKING:
    from edgectl.lower.delegation import DelegationReport
    from edgectl.lower.program import Program
    from edgectl.lower.program_memory import ProgramMemory

_MEBIBYTE = 1 << 20
_NAMED_OPERATORS = 5


@dataclass(frozen=True, slots=True)
class TargetFit:
    """What a program takes of a target: estimated peak and what there is for it, in bytes; remarks are sentences.

    `available_bytes` is 0 where the target does not say.
    """

    target: str
    peak_bytes: int
    available_bytes: int
    remarks: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "peak_bytes_estimated": self.peak_bytes,
            "available_bytes": self.available_bytes or None,
            "remarks": list(self.remarks),
        }

    def lines(self) -> list[str]:
        """The fit as text: the memory first, then each remark."""
        of = f" of {mebibytes(self.available_bytes)} for a program on {self.target}" if self.available_bytes else ""
        return [f"peak memory {mebibytes(self.peak_bytes)} (estimated){of}", *self.remarks]


def check_target(program: Program, target: Target) -> TargetFit:
    """How the program fits; the memory of a program that was not lowered here is not known and passes as none.

    Raises:
        CompileError: it takes more memory than the target has for a program.
    """
    memory = program.memory
    peak = 0 if memory is None else memory.peak_bytes
    if memory is not None and target.available_bytes and peak > target.available_bytes:
        raise CompileError(
            f"the program takes {mebibytes(peak)} at its peak ({_parts(memory)}; estimated)",
            expected=f"at most {mebibytes(target.available_bytes)}, which {target.name} has for a program",
            action="quantize or prune the model, take a smaller input, or choose a target with more memory",
        )
    dtypes = () if memory is None else memory.dtypes
    limited = [f"{limit.what}: {limit.reason}" for limit in target.cannot_run if limit.dtype and limit.dtype in dtypes]
    return TargetFit(target.name, peak, target.available_bytes, (*limited, *_outside(program.delegation, target)))


def mebibytes(count: int) -> str:
    return f"{count / _MEBIBYTE:,.1f} MiB"


def _parts(memory: ProgramMemory) -> str:
    """The larger parts of whichever is the peak: loading or running."""
    if memory.load_bytes >= memory.run_bytes:
        parts = {"file": memory.program_bytes, "weights packed beside it while it loads": memory.packed_bytes}
    else:
        parts = {
            "weights": memory.packed_bytes,
            "activations": memory.workspace_bytes + memory.planned_bytes,
            "convolutions' pointers": memory.indirection_bytes,
        }
    return ", ".join(f"{name} {mebibytes(count)}" for name, count in parts.items())


def _outside(delegation: DelegationReport, target: Target) -> list[str]:
    """One sentence on all operators outside the delegate; the delegation report has each with its place and reason."""
    if not delegation.undelegated:
        return []
    names = list(delegation.undelegated)
    listed = ", ".join(names[:_NAMED_OPERATORS])
    more = f" and {len(names) - _NAMED_OPERATORS} more kinds" if len(names) > _NAMED_OPERATORS else ""
    cores = target.processor.cores if target.processor is not None else 0
    where = f"one of {cores} cores" if cores > 1 else "one core"
    reason = f"portable kernels, without vector instructions and on {where}, can be 100 times slower"
    return [f"{listed}{more} run outside the delegate: {reason}"]
