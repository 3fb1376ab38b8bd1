# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of a state's graph, operator by operator on real shapes; what has no rule is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from edgectl.compress.state import ModelState

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class MacCount:
    """Multiply-accumulates of one item, and how often each operator occurs that multiplies but has no rule."""

    total: int
    uncounted: dict[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """A line that names the operators that were not counted; none where all were."""
        parts = [f"{name} ({count})" for name, count in sorted(self.uncounted.items())]
        return (f"MACs do not count operators without a rule: {', '.join(parts)}",) if parts else ()


def count_macs(state: ModelState) -> MacCount:
    """Multiply-accumulates of one item through convolutions, linear and recurrent layers and matrix products."""
    counter = _MacCounter(state.graph)
    with torch.no_grad():
        counter.run(*state.example_inputs)
    return MacCount(counter.total, counter.uncounted)


def macs(state: ModelState) -> int:
    """The total of `count_macs`."""
    return count_macs(state).total


def _weighted(arguments: tuple[Any, ...], output: torch.Tensor) -> int:
    weight: torch.Tensor = arguments[1]
    return output.numel() // weight.shape[0] * weight.numel()


def _transposed(arguments: tuple[Any, ...], _output: torch.Tensor) -> int:
    inputs, weight = arguments[0], arguments[1]
    return int(inputs.numel() // weight.shape[0] * weight.numel())


def _linear(arguments: tuple[Any, ...], output: torch.Tensor) -> int:
    return output.numel() * int(arguments[1].shape[-1])


def _product(arguments: tuple[Any, ...], output: torch.Tensor) -> int:
    return output.numel() * int(arguments[0].shape[-1])


def _addmm(arguments: tuple[Any, ...], output: torch.Tensor) -> int:
    return output.numel() * int(arguments[1].shape[-1])


def _attention(arguments: tuple[Any, ...], output: torch.Tensor) -> int:
    query, key = arguments[0], arguments[1]
    keys = int(key.shape[-2])
    return int(query.numel()) * keys + output.numel() * keys


def _recurrent(arguments: tuple[Any, ...], _output: Any) -> int:
    """Each weight matrix is applied once to each step of each item (`params` holds those of all layers)."""
    inputs, parameters = arguments[0], arguments[2]
    matrices = sum(parameter.numel() for parameter in parameters if parameter.ndim == 2)
    return int(inputs.numel() // inputs.shape[-1] * matrices)


def _einsum(arguments: tuple[Any, ...], _output: torch.Tensor) -> int | None:
    """Every combination of the indices of two operands; of more, the order of contraction decides: not counted."""
    equation, operands = arguments[0], arguments[1]
    if len(operands) > 2:
        return None
    sizes: dict[str | int, int] = {}
    for term, operand in zip(equation.replace(" ", "").split("->")[0].split(","), operands, strict=True):
        before, _, after = term.partition("...")
        spread = operand.ndim - len(before) - len(after)
        names = [*before, *range(-spread, 0), *after]  # the dimensions of an ellipsis are aligned from the right
        for name, size in zip(names, operand.shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    return math.prod(sizes.values()) if len(operands) == 2 else 0


MAC_RULES: dict[Any, Callable[[tuple[Any, ...], Any], int | None]] = {
    aten.conv1d.default: _weighted,
    aten.conv2d.default: _weighted,
    aten.conv3d.default: _weighted,
    aten.conv1d.padding: _weighted,
    aten.conv2d.padding: _weighted,
    aten.conv_transpose1d.default: _transposed,
    aten.conv_transpose2d.input: _transposed,
    aten.conv_transpose3d.input: _transposed,
    aten.linear.default: _linear,
    aten.matmul.default: _product,
    aten.bmm.default: _product,
    aten.mm.default: _product,
    aten.mv.default: _product,
    aten.dot.default: _product,
    aten.addmm.default: _addmm,
    aten.baddbmm.default: _addmm,
    aten.einsum.default: _einsum,
    aten.gru.input: _recurrent,
    aten.lstm.input: _recurrent,
    aten.rnn_tanh.input: _recurrent,
    aten.rnn_relu.input: _recurrent,
    aten.scaled_dot_product_attention.default: _attention,
}


# These take several tensors and multiply nothing.
_MOVING = frozenset(
    {
        aten.cat,
        aten.concat,
        aten.concatenate,
        aten.stack,
        aten.hstack,
        aten.vstack,
        aten.dstack,
        aten.expand_as,
        aten.view_as,
        aten.reshape_as,
        aten.type_as,
        aten.broadcast_tensors,
        aten.meshgrid,
        aten.copy,
        aten.copy_,
        aten.index_put,
        aten.index_put_,
        aten.scatter,
        aten.scatter_add,
        aten.slice_scatter,
        aten.select_scatter,
        aten.masked_scatter,
        aten.layer_norm,
        aten.prelu,
        aten.allclose,
        aten.equal,
    }
)


class _MacCounter(Interpreter):
    """Runs the graph once and adds up the rule of each operator on its real shapes."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.total = 0
        self.uncounted: dict[str, int] = {}

    def run_node(self, n: Node) -> Any:
        output = super().run_node(n)
        if n.op != "call_function":
            return output
        arguments, _ = self.fetch_args_kwargs_from_env(n)
        rule = MAC_RULES.get(n.target)
        counted = rule(arguments, output) if rule is not None else None
        if counted is not None:
            self.total += counted
        elif rule is not None or _multiplies(n.target, arguments):
            name = str(n.target)
            self.uncounted[name] = self.uncounted.get(name, 0) + 1
        return output


def _multiplies(target: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether an operator without a rule may multiply matrices: it takes two of them, and does more than move values.

    A block under `torch.no_grad()` and the like is one operator of a higher order, whose inside is not looked into.
    """
    namespace = getattr(target, "namespace", "")
    if namespace == "higher_order":
        return True
    if not namespace or torch.Tag.pointwise in target.tags or target.overloadpacket in _MOVING:
        return False
    tensors = [
        one for argument in arguments for one in (argument if isinstance(argument, list | tuple) else [argument])
    ]
    return sum(isinstance(one, torch.Tensor) and one.is_floating_point() and one.ndim > 1 for one in tensors) > 1
