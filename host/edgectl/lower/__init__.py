# SPDX-License-Identifier: Apache-2.0
"""From a model to an ExecuTorch program: `lower(subject, ...)` gives a `Program`. Importing this needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgectl.lower.entry import lower
    from edgectl.lower.program import Program

__all__ = ["Program", "lower"]


def __getattr__(name: str) -> Any:
    if name == "lower":
        from edgectl.lower.entry import lower

        return lower
    if name == "Program":
        from edgectl.lower.program import Program

        return Program
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
