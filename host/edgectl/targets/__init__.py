# SPDX-License-Identifier: Apache-2.0
"""Device profiles: one TOML file each, data and not code."""

from __future__ import annotations

from edgectl.targets.profiles import Limitation, Processor, Target, load_target, parse_target, target_names

__all__ = ["Limitation", "Processor", "Target", "load_target", "parse_target", "target_names"]
