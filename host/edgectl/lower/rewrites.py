# SPDX-License-Identifier: Apache-2.0
"""Equal spellings of operators that the delegate would leave out.

Each rewrite changes how a thing is said, never what is computed; what does not match exactly stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import fx

_IMAGE_RANK = 4
_IMAGE_PLANE = (2, 3)


def rewrite_for_delegate(graph: fx.GraphModule) -> int:
    """Rewrite `graph`, whose nodes carry `meta["val"]`, in place; return how many operators were replaced."""
    rewrites: tuple[Callable[[fx.Graph, fx.Node], bool], ...] = (_mean_over_the_plane,)
    count = sum(rewrite(graph.graph, node) for node in list(graph.graph.nodes) for rewrite in rewrites)
    if count:
        graph.graph.lint()
        graph.recompile()
    return count


def _mean_over_the_plane(graph: fx.Graph, node: fx.Node) -> bool:
    """`mean([2, 3])` of an image to `mean([-1, -2], keepdim=True)` and a reshape: XNNPACK takes only the second."""
    import torch

    if node.op != "call_function" or node.target is not torch.ops.aten.mean.dim or node.kwargs:
        return False
    source, dims, *rest = node.args
    shape = _shape(source)
    if shape is None or len(shape) != _IMAGE_RANK or not isinstance(dims, list | tuple) or any(rest):
        return False
    if tuple(sorted(int(dim) % _IMAGE_RANK for dim in dims)) != _IMAGE_PLANE:  # type: ignore[arg-type]
        return False
    with graph.inserting_before(node):
        kept = graph.call_function(torch.ops.aten.mean.dim, (source, [-1, -2], True))
        flat = graph.call_function(torch.ops.aten.flatten.using_ints, (kept, 1))
    node.replace_all_uses_with(flat)
    graph.erase_node(node)
    return True


def _shape(source: object) -> tuple[int, ...] | None:
    meta = getattr(source, "meta", None)
    shape = getattr(meta.get("val"), "shape", None) if isinstance(meta, dict) else None
    return None if shape is None else tuple(shape)
