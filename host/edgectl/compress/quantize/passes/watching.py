# SPDX-License-Identifier: Apache-2.0
"""The values at some operators of a graph while calibration batches run through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx
from torch.fx import GraphModule

from edgectl.compress.data.example import Inputs
from edgectl.cores import NEVER_PAUSED, Work

See = Callable[[fx.Node, tuple[Any, ...], torch.Tensor], None]


def watch(
    graph: GraphModule, nodes: set[fx.Node], items: Sequence[Inputs], see: See, *, work: Work = NEVER_PAUSED
) -> None:
    """Run each batch; `see(node, arguments, output)` hears of every call of one of `nodes`, with values for nodes."""
    watcher = _Watcher(graph, nodes, see)
    with torch.no_grad():
        for batch in items:
            work.breathe()
            watcher.run(*batch)


class _Watcher(fx.Interpreter):
    def __init__(self, graph: GraphModule, nodes: set[fx.Node], see: See) -> None:
        super().__init__(graph)
        self._nodes = nodes
        self._see = see

    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        if n in self._nodes:
            arguments, _ = self.fetch_args_kwargs_from_env(n)
            self._see(n, arguments, output)
        return output
