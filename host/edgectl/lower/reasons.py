# SPDX-License-Identifier: Apache-2.0
"""Why an operator stayed outside the delegate: what the partitioner said, else what is known of the operator."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx

_PARTITION_LOGGER = "executorch.backends.xnnpack.partition"
_LONGEST = 160

# By the beginning of an operator's name; the first that fits. Only what XNNPACK's partitioner has no rule for at all:
# where it has one, it says itself what it missed.
_NO_RULE: tuple[tuple[str, str], ...] = (
    ("quantized_decomposed.quantize_", "a quantize between operators of which one is not in the delegate"),
    ("quantized_decomposed.dequantize_", "a dequantize whose consumer is not in the delegate"),
    ("quantized_decomposed.choose_qparams", "dynamic ranges of an operator the delegate did not take"),
    ("dim_order_ops.", "a change of dtype or memory layout between delegated pieces"),
    ("aten.embedding", "XNNPACK has no table look-up"),
    ("aten.native_layer_norm", "XNNPACK has no layer norm; a static shape lets it be rewritten"),
    ("aten.native_group_norm", "XNNPACK has no group norm"),
    ("aten.select_copy", "XNNPACK has no select; a slice that keeps the dimension is delegated"),
    ("aten.expand_copy", "XNNPACK has no expand; its arithmetic broadcasts by itself"),
    ("aten.split_with_sizes_copy", "XNNPACK takes slices, not splits of several outputs"),
    ("aten.index", "XNNPACK has no gather"),
    ("aten.gather", "XNNPACK has no gather"),
    ("aten.where", "XNNPACK has no selection by a mask"),
    ("aten.logical", "XNNPACK has no operators on booleans"),
    ("aten.any", "XNNPACK has no operators on booleans"),
    ("aten.eq", "XNNPACK has no comparisons"),
    ("aten.ne", "XNNPACK has no comparisons"),
    ("aten.lt", "XNNPACK has no comparisons"),
    ("aten.le", "XNNPACK has no comparisons"),
    ("aten.gt", "XNNPACK has no comparisons"),
    ("aten.ge", "XNNPACK has no comparisons"),
    ("aten.cumsum", "XNNPACK has no running sum"),
    ("aten.argmax", "XNNPACK has no argmax"),
    ("aten.full", "a constant made while the program runs; a buffer would be in the delegate"),
    ("aten.arange", "a constant made while the program runs; a buffer would be in the delegate"),
    ("aten.sum", "XNNPACK takes no sums; a mean times the count is delegated over the plane of an image"),
)


@contextmanager
def partition_reasons() -> Iterator[dict[str, str]]:
    """Collect what XNNPACK's partitioner says of the nodes it refuses: node name -> reason."""
    found: dict[str, str] = {}
    logger = logging.getLogger(_PARTITION_LOGGER)
    level, propagate = logger.level, logger.propagate
    handler = _Reasons(found)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        logger.setLevel(level)


class _Reasons(logging.Handler):
    """The partitioner logs one object over and over, with the node and the reason as attributes."""

    def __init__(self, found: dict[str, str]) -> None:
        super().__init__(logging.DEBUG)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        message: Any = record.msg
        node, reason = getattr(message, "node", None), getattr(message, "reason", None)
        if node is not None and reason:
            self._found[str(node)] = " ".join(str(reason).split())[:_LONGEST]


def reason_for(node: fx.Node, operator: str, said: str | None) -> str:
    """The partitioner's own reason; else why nothing could take the operator; else that its neighbours kept it out."""
    if said:
        return said
    dtype = _dtype(node)
    for beginning, reason in _NO_RULE:
        if operator.startswith(beginning):
            return reason
    if dtype in ("torch.int64", "torch.int32", "torch.bool", "torch.uint8"):
        return f"XNNPACK does not compute on {dtype.removeprefix('torch.')}"
    if not _has_rule(operator):
        return "XNNPACK has no such operator"
    return "the delegate has the operator, but not in this form (shapes, dtypes or arguments)"


def _dtype(node: fx.Node) -> str:
    value = node.meta.get("val")
    return str(getattr(value, "dtype", ""))


def _has_rule(operator: str) -> bool:
    from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS

    names = {getattr(config, "target_name", "") for config in ALL_PARTITIONER_CONFIGS}
    return operator.removeprefix("aten.") in names or operator.removeprefix("aten.").split(".")[0] in {
        name.split(".")[0] for name in names
    }
