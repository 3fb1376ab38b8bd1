# SPDX-License-Identifier: Apache-2.0
"""What both ends of a gRPC connection must have in common, beyond the messages."""

from __future__ import annotations

ERROR_METADATA = "edgectl-error-bin"
"""The trailing metadata that carries a failed call's serialized `ErrorDetail`."""

MAX_MESSAGE_BYTES = 64 << 20
"""The longest message either end sends or takes."""
