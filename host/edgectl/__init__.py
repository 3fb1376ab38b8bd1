# SPDX-License-Identifier: Apache-2.0
"""edgectl: compress PyTorch models by measuring on the boards themselves, ship them, watch them."""

from __future__ import annotations

__version__ = "0.1.0"
