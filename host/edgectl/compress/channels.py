# SPDX-License-Identifier: Apache-2.0
"""Which channels of a graph can go, and what goes with each: one run of the graph with labels beside its values.

Producers (convolution, linear) make labels, consumers tie the columns of their weights to them, element-wise operators
unite them, shape operators run on the labels themselves. An operator that no rule knows freezes what enters it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from edgectl.compress.label_space import FROZEN, LabelSpace
from edgectl.compress.rewrites import Rewrite
from edgectl.compress.state import ModelState

ROWS = "rows"  # a producer's outputs
COLUMNS = "columns"  # a consumer's inputs
BESIDE = "beside"  # parameters per channel: norms, depthwise filters, scales


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One dimension of a parameter or buffer whose elements are channels; labels int64 [size of dim]."""

    tensor: str
    dim: int
    role: str
    labels: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ChannelAnalysis:
    """What pruning needs to know of a graph.

    `roots` is int64 [labels], the leader of each label's class; `work` lists (output positions, weight): times the
    weight's elements these are its multiply-accumulates; `frozen_by` counts the channels each operator without a rule
    has frozen; `tensors` maps every name a tensor goes by to the one name used here.
    """

    bindings: tuple[Binding, ...]
    roots: torch.Tensor
    work: tuple[tuple[int, str], ...]
    rewrites: tuple[Rewrite, ...]
    frozen_by: dict[str, int]
    tensors: dict[str, str]

    @property
    def removable(self) -> torch.Tensor:
        """The leaders of the classes that may go, int64 [classes]."""
        leaders: torch.Tensor = torch.unique(self.roots)
        return leaders[leaders != FROZEN]


def analyse_channels(state: ModelState) -> ChannelAnalysis:
    """Label every activation of the state's graph by one run at batch 1."""
    trace = ChannelTrace(state.graph)
    with torch.no_grad():
        trace.run(*state.example_inputs)
    return trace.result()


class ChannelTrace(Interpreter):
    """The run: `space` and the records below are for the rules in `channel_rules`."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.space = LabelSpace()
        self.labels: dict[Node, Any] = {}  # label tensor, list of them, or None for what is no tensor
        self.rewrites: list[Rewrite] = []
        self.work: list[tuple[int, str]] = []
        self._bindings: list[Binding] = []
        self._tensors: dict[str, str] = {}
        self._by_identity: dict[int, str] = {}
        self._pinned: set[str] = set()
        self._frozen_by: Counter[str] = Counter()

    def run_node(self, n: Node) -> Any:
        output = super().run_node(n)
        if n.op == "get_attr":
            name = str(n.target)
            self._tensors[name] = self._by_identity.setdefault(id(output), name)
        if n.op == "output":
            for source in n.all_input_nodes:
                self.freeze(source)
        elif n.op in {"call_function", "call_module", "call_method"}:
            self.labels[n] = self._labelled(n, output)
        else:
            self.labels[n] = _unlabelled(output)
        return output

    def value(self, argument: Any) -> Any:
        """The value of an argument during the run: a node's, or the literal itself."""
        return self.env[argument] if isinstance(argument, Node) else argument

    def tensor_name(self, argument: Any) -> str | None:
        """The name of the parameter or buffer an argument is, or None."""
        if isinstance(argument, Node) and argument.op == "get_attr":
            return self._tensors[str(argument.target)]
        return None

    def bind(self, argument: Node, dim: int, labels: torch.Tensor, role: str) -> None:
        """Tie one dimension of a parameter to labels [size]; a second use of it unites both."""
        name = self._tensors[str(argument.target)]
        for binding in self._bindings:
            if (binding.tensor, binding.dim) == (name, dim):
                self.space.unite(binding.labels, labels)
        self._bindings.append(Binding(name, dim, role, labels.clone()))

    def freeze(self, argument: Node) -> int:
        """Keep all channels of an activation, or all of a parameter; returns how many channels that froze."""
        name = self.tensor_name(argument)
        if name is not None:
            self._pinned.add(name)
        return sum(self.space.freeze(labels) for labels in _tensors_in(self.labels.get(argument)))

    def freeze_inputs(self, node: Node, output: Any) -> Any:
        """The rule of an operator without one."""
        frozen = sum(self.freeze(source) for source in node.all_input_nodes)
        if frozen:
            self._frozen_by[str(node.target)] += frozen
        return _unlabelled(output)

    def result(self) -> ChannelAnalysis:
        for binding in self._bindings:
            if binding.tensor in self._pinned:
                self.space.freeze(binding.labels)
        for binding in self._bindings:
            # Channels that all fall together would leave nothing behind.
            if len(torch.unique(self.space.roots(binding.labels))) == 1:
                self.space.freeze(binding.labels)
        everything = torch.arange(len(self.space))
        return ChannelAnalysis(
            bindings=tuple(self._bindings),
            roots=self.space.roots(everything),
            work=tuple(self.work),
            rewrites=tuple(self.rewrites),
            frozen_by=dict(self._frozen_by),
            tensors=dict(self._tensors),
        )

    def _labelled(self, node: Node, output: Any) -> Any:
        from edgectl.compress.channel_rules import rule_of

        if next(_tensors_in(output), None) is None:
            return None
        rule: Callable[[ChannelTrace, Node, Any], Any] | None = rule_of(node)
        labels = None if rule is None else rule(self, node, output)
        if labels is None:
            return self.freeze_inputs(node, output)
        if isinstance(labels, torch.Tensor):
            return self.space.close(labels)
        return [self.space.close(part) for part in labels]


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
