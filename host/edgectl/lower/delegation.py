# SPDX-License-Identifier: Apache-2.0
"""Which compute operators a delegate took, which were left to the portable kernels, where and why.

docs/lowering.md says what counts as an operator, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx
    from torch.export import ExportedProgram

_NOT_OPERATORS = frozenset({"getitem", "executorch_call_delegate"})
_CASTS = ("quantized_decomposed.quantize_", "quantized_decomposed.dequantize_", "quantized_decomposed.choose_qparams")


@dataclass(frozen=True, slots=True)
class OutsideOperator:
    """One operator that no delegate took: its name, the module it came from (or its node) and the reason."""

    operator: str
    place: str
    reason: str

    def document(self) -> dict[str, str]:
        return {"operator": self.operator, "place": self.place, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class DelegationReport:
    """Compute operators by name (`aten.convolution.default`), with how often each occurs; `outside` has each left out.

    `subgraphs` is how many pieces the delegate runs: each border between two is a copy of the activations.
    """

    delegated: dict[str, int]
    undelegated: dict[str, int]
    outside: tuple[OutsideOperator, ...] = ()
    subgraphs: int = 0

    @property
    def fraction(self) -> float:
        """Compute operators inside a delegate over all compute operators; 1 for a program without any."""
        inside, outside = sum(self.delegated.values()), sum(self.undelegated.values())
        return inside / (inside + outside) if inside + outside else 1.0

    def lines(self) -> list[str]:
        """The report as text, one line for each operator, the undelegated first."""
        inside, outside = sum(self.delegated.values()), sum(self.undelegated.values())
        head = f"{inside} of {inside + outside} compute operators are in a delegate"
        rows = [f"  outside  {count:4d}  {name}{self._cause(name)}" for name, count in self.undelegated.items()]
        rows += [f"  inside   {count:4d}  {name}" for name, count in self.delegated.items()]
        return [head, *rows]

    def document(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            "fraction": self.fraction,
            "subgraphs": self.subgraphs,
            "delegated": dict(self.delegated),
            "undelegated": dict(self.undelegated),
            "outside": [operator.document() for operator in self.outside],
        }

    def _cause(self, name: str) -> str:
        rows = [operator for operator in self.outside if operator.operator == name]
        if not rows:
            return ""
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        return f"  at {rows[0].place}{more}: {rows[0].reason}"


def delegation_of(
    program: ExportedProgram, reasons: Mapping[str, str] | None = None
) -> tuple[DelegationReport, tuple[str, ...]]:
    """The report on an edge program after partitioning (before `to_executorch`), and the names of its delegates.

    `reasons` is what the partitioner said of a node, by its name (see `partition_reasons`).
    """
    from edgectl.lower.reasons import reason_for

    inside: Counter[str] = Counter()
    outside: list[OutsideOperator] = []
    delegates: list[str] = []
    for module in program.graph_module.modules():
        backend = getattr(module, "backend_id", None)
        if backend is not None:
            delegates.append(str(backend))
            names = (_name(node.target) for node in _operators(_original_graph(module)))
            inside.update(name for name in names if not name.startswith(_CASTS))
        elif _is_graph_module(module):
            for node in _operators(module.graph):
                name = _name(node.target)
                reason = reason_for(node, name, (reasons or {}).get(node.name))
                outside.append(OutsideOperator(name, place_of(node), reason))
    counted = Counter(operator.operator for operator in outside)
    report = DelegationReport(
        dict(sorted(inside.items())), dict(sorted(counted.items())), tuple(outside), subgraphs=len(delegates)
    )
    return report, tuple(sorted(set(delegates)))


def place_of(node: fx.Node) -> str:
    """The path of the module that a node came from; its own name where the graph holds no module's."""
    stack = node.meta.get("nn_module_stack")
    if isinstance(stack, Mapping):
        paths = [_path(entry) for entry in stack.values()]
        named = [path for path in paths if path]
        if named:
            return named[-1]
    return str(node.name)


def _path(entry: Any) -> str:
    path = str(entry[0]) if isinstance(entry, tuple) and entry else ""
    for prefix in ("L['self'].", "L__self__."):
        path = path.removeprefix(prefix)
    return "" if path in ("L['self']", "L__self__") else path


def _original_graph(lowered: Any) -> fx.Graph:
    graph: fx.Graph = lowered.original_module.graph_module.graph
    return graph


def _is_graph_module(module: Any) -> bool:
    from torch import fx

    return isinstance(module, fx.GraphModule)


def _operators(graph: fx.Graph) -> Iterator[fx.Node]:
    for node in graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__name__", "") not in _NOT_OPERATORS:
            yield node


def _name(target: Any) -> str:
    """`aten.convolution.default` for an edge operator, its ATen form or an out variant alike."""
    return str(getattr(target, "_op", target)).removeprefix("<").removesuffix(">")
