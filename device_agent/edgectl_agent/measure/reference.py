# SPDX-License-Identifier: Apache-2.0
"""The reference model that comes with the agent: the same program on every board, so that boards can be compared."""

from __future__ import annotations

from pathlib import Path

REFERENCE_PROGRAM = Path(__file__).with_name("reference.pte")
REFERENCE_DIGEST = "dd8b0124c94c369e5d3c79fcfb9499ed07f4d74dc16f8f5fe2d16475feced737"
"""SHA-256 of the file; device_agent/reference/build.py makes it. Ratios to another reference are other figures."""
