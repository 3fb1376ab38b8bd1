# SPDX-License-Identifier: Apache-2.0
"""Which compute operators a delegate took and which were left to the portable kernels.

docs/lowering.md says what counts as an operator, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx
    from torch.export import ExportedProgram

_NOT_OPERATORS = frozenset({"getitem", "executorch_call_delegate"})
_CASTS = ("quantized_decomposed.quantize_", "quantized_decomposed.dequantize_", "quantized_decomposed.choose_qparams")


@dataclass(frozen=True, slots=True)
class DelegationReport:
    """Compute operators by name (`aten.convolution.default`), with how often each occurs."""

    delegated: dict[str, int]
    undelegated: dict[str, int]

    @property
    def fraction(self) -> float:
        """Compute operators inside a delegate over all compute operators; 1 for a program without any."""
        inside, outside = sum(self.delegated.values()), sum(self.undelegated.values())
        return inside / (inside + outside) if inside + outside else 1.0

    def lines(self) -> list[str]:
        """The report as text, one line for each operator, the undelegated first."""
        inside, outside = sum(self.delegated.values()), sum(self.undelegated.values())
        head = f"{inside} of {inside + outside} compute operators are in a delegate"
        rows = [f"  outside  {count:4d}  {name}" for name, count in self.undelegated.items()]
        rows += [f"  inside   {count:4d}  {name}" for name, count in self.delegated.items()]
        return [head, *rows]


def delegation_of(program: ExportedProgram) -> tuple[DelegationReport, tuple[str, ...]]:
    """The report on an edge program after partitioning (before `to_executorch`), and the names of its delegates."""
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    delegates: set[str] = set()
    for module in program.graph_module.modules():
        backend = getattr(module, "backend_id", None)
        if backend is not None:
            delegates.add(str(backend))
            inside.update(name for name in _operators(_original_graph(module)) if not name.startswith(_CASTS))
        elif _is_graph_module(module):
            outside.update(_operators(module.graph))
    return DelegationReport(dict(sorted(inside.items())), dict(sorted(outside.items()))), tuple(sorted(delegates))


def _original_graph(lowered: Any) -> fx.Graph:
    graph: fx.Graph = lowered.original_module.graph_module.graph
    return graph


def _is_graph_module(module: Any) -> bool:
    from torch import fx

    return isinstance(module, fx.GraphModule)


def _operators(graph: fx.Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__name__", "") not in _NOT_OPERATORS:
            yield _name(node.target)


def _name(target: Any) -> str:
    """`aten.convolution.default` for an edge operator, its ATen form or an out variant alike."""
    return str(getattr(target, "_op", target)).removeprefix("<").removesuffix(">")
