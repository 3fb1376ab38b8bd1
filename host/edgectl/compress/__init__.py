# SPDX-License-Identifier: Apache-2.0
"""Compression: `Pipeline([Prune(macs=0.5), Quantize("int8")]).run(model, example_inputs=(x,), calibration=batches)`.

Importing this needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgectl.compress.compression import Pipeline
from edgectl.compress.stages import Distill, Finetune, Prune, Quantize, Sparsify

if TYPE_CHECKING:
    from edgectl.compress.result import Result

__all__ = ["Distill", "Finetune", "Pipeline", "Prune", "Quantize", "Result", "Sparsify"]


def __getattr__(name: str) -> Any:
    if name == "Result":
        from edgectl.compress.result import Result

        return Result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
