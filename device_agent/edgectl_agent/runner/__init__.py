# SPDX-License-Identifier: Apache-2.0
"""The agent's side of edge-runner: finding it, running it once, timing with it, and keeping it serving."""
