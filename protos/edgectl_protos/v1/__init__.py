# SPDX-License-Identifier: Apache-2.0
"""Generated protobuf and gRPC code. `make protos` writes it; nothing is edited here."""
