# SPDX-License-Identifier: Apache-2.0
"""The `prune` stage, where it was; it lives in `structured`."""

from __future__ import annotations

from edgectl.compress.structured import Pruned, prune

__all__ = ["Pruned", "prune"]
