# SPDX-License-Identifier: Apache-2.0
"""The gRPC side. Only `app` imports it, and only where gRPC is enabled, so that grpc is not resident otherwise."""
