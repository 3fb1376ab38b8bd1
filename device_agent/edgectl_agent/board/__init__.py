# SPDX-License-Identifier: Apache-2.0
"""What the board tells of itself: facts that stay, and conditions that change."""
