# SPDX-License-Identifier: Apache-2.0
"""The wire contract between edgectl and its device agent."""

from __future__ import annotations

__version__ = "0.1.0"

PROTOCOL_VERSION = 1
"""Version of the gRPC contract. Host and agent must agree on it; everything else is added compatibly."""
