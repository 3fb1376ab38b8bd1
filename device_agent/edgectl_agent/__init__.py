# SPDX-License-Identifier: Apache-2.0
"""The device agent: supervises runners, installs bundles, speaks gRPC and MQTT. No torch, no numpy."""

from __future__ import annotations

__version__ = "0.1.0"
