# SPDX-License-Identifier: Apache-2.0
"""Boards that are emulated: how their runner is started, what they can tell, and the counter of instructions.

Imported only where the agent was told that it stands for such a board.
"""
