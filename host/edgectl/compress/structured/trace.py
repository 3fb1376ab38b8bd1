# SPDX-License-Identifier: Apache-2.0
"""Which channels of a graph can go, and what goes with each: one run of the graph with labels beside its values.

Producers (convolution, linear, embedding) make labels, consumers tie the columns of their weights to them, element-wise
operators unite them, shape operators run on the labels themselves. An operator that no rule knows freezes what enters
it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from edgectl.compress.state import ModelState
from edgectl.compress.structured.analysis import BESIDE, ROWS, Binding, ChannelAnalysis, Kept, Operand, Work
from edgectl.compress.structured.label_space import FROZEN, LabelSpace, compact
from edgectl.compress.structured.rewrites import Rewrite

_SMALL_TABLE = 65_536  # elements of a matrix that is still labelled along both of its dimensions

Rule = Callable[["ChannelTrace", Node, Any], Any]


class Refusal:
    """What a rule returns that cannot say what becomes of the labels, and why; `told` even if nothing is kept by it."""

    def __init__(self, reason: str, *, told: bool = False) -> None:
        self.reason, self.told = reason, told


def analyse_channels(
    state: ModelState, rule_of: Callable[[Node], Rule | None], *, spared: Callable[[str], bool] | None = None
) -> ChannelAnalysis:
    """Label every activation of the state's graph by one run on its example.

    The outputs of the layers whose weight's name is `spared` keep their channels, unreported: that was asked for.
    """
    trace = ChannelTrace(state.graph, rule_of)
    with torch.no_grad():
        trace.run(*(tensor.clone() for tensor in state.example_inputs))
    return trace.result(spared or (lambda _: False))


class ChannelTrace(Interpreter):
    """The run: `space` and the records below are for the rules."""

    def __init__(self, graph: GraphModule, rule_of: Callable[[Node], Rule | None]) -> None:
        super().__init__(graph)
        self.space = LabelSpace()
        self.labels: dict[Node, Any] = {}  # label tensor, list of them, or None for what is no tensor
        self.rewrites: list[Rewrite] = []
        self.work: list[Work] = []
        self.consumed: list[Operand] = []
        self.contractions: list[Operand] = []
        self._rule_of = rule_of
        self._bindings: list[Binding] = []
        self._bound: dict[tuple[str, int], torch.Tensor] = {}
        self._tensors: dict[str, str] = {}
        self._by_identity: dict[int, str] = {}
        self._pinned: set[str] = set()
        self._unmade: set[int] = set()  # labels of tables that no layer makes: keeping them is nothing to tell
        self._kept: Counter[tuple[str, str]] = Counter()

    def run_node(self, n: Node) -> Any:
        output = super().run_node(n)
        if n.op == "get_attr":
            if isinstance(output, torch.Tensor):
                name = str(n.target)
                self._tensors[name] = self._by_identity.setdefault(id(output), name)
        elif n.op == "output":
            for source in n.all_input_nodes:
                self.freeze(source)
        elif n.op == "placeholder":
            self.labels[n] = _unlabelled(output)
        else:
            self.labels[n] = self._labelled(n, output)
        return output

    def value(self, argument: Any) -> Any:
        """The value of an argument during the run: a node's, or the literal itself."""
        return self.env[argument] if isinstance(argument, Node) else argument

    def tensor_name(self, argument: Any) -> str | None:
        """The name of the parameter or buffer an argument is, or None."""
        if isinstance(argument, Node) and argument.op == "get_attr":
            return self._tensors.get(str(argument.target))
        return None

    def activation(self, argument: Any) -> torch.Tensor:
        """The labels of a tensor that takes part as values: of a parameter, labels of its own, tied to it."""
        name = self.tensor_name(argument)
        if name is None:
            found: torch.Tensor = self.labels[argument]
            return found
        value = self.value(argument)
        vectors: list[torch.Tensor | None] = [None] * value.ndim
        for dim in _labelled_dimensions(value):
            if (name, dim) not in self._bound:
                fresh = self.space.fresh(value.shape[dim])
                self._unmade.update(fresh.tolist())
                self.bind(argument, dim, fresh, BESIDE)
            vectors[dim] = self._bound[name, dim]
        return self.space.product(vectors, value.shape)

    def axes(self, argument: Any) -> list[torch.Tensor | None]:
        """The labels along each dimension of a tensor that takes part as values."""
        return self.space.axes(self.activation(argument))

    def bind(self, argument: Node, dim: int, labels: torch.Tensor, role: str) -> None:
        """Tie one dimension of a parameter to labels [size]; a second use of it unites both."""
        name = self._tensors[str(argument.target)]
        bound = self._bound.setdefault((name, dim), labels)
        if bound is not labels:
            self.space.unite(bound, labels)
        self._bindings.append(Binding(name, dim, role, labels.clone()))

    def keep(self, node: Node, labels: torch.Tensor | None, reason: str) -> None:
        """Freeze labels, and tell where and why."""
        if labels is not None:
            count = self._frozen(labels)
            if count:
                self._kept[place_of(node), reason] += count

    def freeze(self, argument: Node) -> int:
        """Keep all channels of an activation, or all of a parameter; returns how many channels that froze."""
        name = self.tensor_name(argument)
        if name is not None:
            self._pinned.add(name)
        return sum(self._frozen(labels) for labels in _tensors_in(self.labels.get(argument)))

    def _frozen(self, labels: torch.Tensor) -> int:
        """Freeze labels; how many classes of those that layers make that froze."""
        names = torch.unique(self.space.roots(torch.unique(compact(labels)))).tolist()
        made = sum(bool(self.space.atoms(name) - self._unmade) for name in names)
        self.space.freeze(labels)
        return made

    def _keep_what_no_layer_makes(self) -> None:
        """Freeze what lies along tables alone (positions, a mask's places): it is no channel of anything."""
        made = set[int]()
        for binding in self._bindings:
            if binding.role == ROWS:
                for label in torch.unique(binding.labels).tolist():
                    made |= self.space.atoms(label)
        for binding in self._bindings:
            atoms = frozenset[int]().union(
                *(self.space.atoms(label) for label in torch.unique(binding.labels).tolist())
            )
            self.space.freeze(torch.tensor([FROZEN, *(atoms - made)]))

    def result(self, spared: Callable[[str], bool]) -> ChannelAnalysis:
        for binding in self._bindings:
            if binding.tensor in self._pinned or (binding.role != "columns" and spared(binding.tensor)):
                self.space.freeze(binding.labels)
        self._keep_what_no_layer_makes()
        for binding in self._bindings:
            # What every channel of a tensor needs would leave nothing of it behind.
            atoms = [self.space.atoms(label) for label in torch.unique(binding.labels).tolist()]
            self.space.freeze(torch.tensor([FROZEN, *frozenset.intersection(*atoms)]))
        inner = torch.cat([torch.tensor([FROZEN]), *self.space.inner])
        return ChannelAnalysis(
            bindings=tuple(self._bindings),
            members=self._members(),
            inner=torch.unique(self.space.roots(inner)),
            work=tuple(self.work),
            consumed=tuple(self.consumed),
            contractions=tuple(self.contractions),
            rewrites=tuple(self.rewrites),
            kept=tuple(Kept(place, reason, count) for (place, reason), count in self._kept.items()),
            tensors=dict(self._tensors),
        )

    def _members(self) -> torch.Tensor:
        atoms = [sorted(self.space.atoms(label)) for label in range(len(self.space))]
        return (
            torch.tensor(list(itertools.zip_longest(*atoms, fillvalue=FROZEN)), dtype=torch.int64)
            .reshape(-1, len(atoms))
            .t()
            .contiguous()
            if any(atoms)
            else torch.zeros(len(atoms), 1, dtype=torch.int64)
        )

    def _labelled(self, node: Node, output: Any) -> Any:
        if next(_tensors_in(output), None) is None:
            return None
        rule = self._rule_of(node)
        labels = Refusal(f"there is no rule for {node.target}") if rule is None else rule(self, node, output)
        if isinstance(labels, Refusal):
            frozen = sum(self.freeze(source) for source in node.all_input_nodes)
            if frozen or labels.told:
                self._kept[place_of(node), labels.reason] += frozen
            return _unlabelled(output)
        return labels


def place_of(node: Node) -> str:
    """The module a node was exported from, or the node's own name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and stack[-1][0] else node.name


def _labelled_dimensions(value: torch.Tensor) -> Sequence[int]:
    """Along which dimensions a parameter that is used as a value may have channels."""
    sizes = [dim for dim in range(value.ndim) if value.shape[dim] > 1]
    if value.ndim == 4 and value.shape[1] > 1:  # an image of features
        return [1]
    return sizes if len(sizes) <= 2 and value.numel() <= _SMALL_TABLE else sizes[-1:]


def _tensors_in(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)


def _unlabelled(value: Any) -> Any:
    """Frozen labels in the shape of a value."""
    if isinstance(value, torch.Tensor):
        return torch.zeros((), dtype=torch.int64).expand(value.shape)
    if isinstance(value, list | tuple):
        return [_unlabelled(item) for item in value]
    return None
