# SPDX-License-Identifier: Apache-2.0
"""Structured pruning: which channels of an exported graph can go, which do, and the graph without them."""

from __future__ import annotations

from edgectl.compress.structured.evidence import Evidence, LatencyMeter
from edgectl.compress.structured.prune import Pruned, prune

__all__ = ["Evidence", "LatencyMeter", "Pruned", "prune"]
