# SPDX-License-Identifier: Apache-2.0
"""Test doubles for the lab, shipped for whoever builds on it."""
