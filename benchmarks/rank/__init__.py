# SPDX-License-Identifier: Apache-2.0
"""NAS-Bench-201 networks, and how well a figure ranks them."""
