# SPDX-License-Identifier: Apache-2.0
"""What each operator does to the labels of channels: a rule returns the labels of the output, in its shape.

A rule that returns a `Refusal` declines: the operator then freezes what enters it. Rules see the model at the example's
own batch.
"""

from __future__ import annotations

from torch.fx import Node

from edgectl.compress.structured.rules import products, shapes, values, weights
from edgectl.compress.structured.trace import Rule

_RULES: dict[str, Rule] = {**values.RULES, **shapes.RULES, **weights.RULES, **products.RULES}


def rule_of(node: Node) -> Rule | None:
    """The rule of a node's operator, or None."""
    if node.op != "call_function":
        return None
    packet = getattr(node.target, "overloadpacket", None)
    name = str(packet).removeprefix("aten.") if packet is not None else getattr(node.target, "__name__", "")
    return _RULES.get(name)
