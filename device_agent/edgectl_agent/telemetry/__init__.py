# SPDX-License-Identifier: Apache-2.0
"""Telemetry: readings are collected into records, and records go to whoever listens."""
