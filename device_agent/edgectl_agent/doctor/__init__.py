# SPDX-License-Identifier: Apache-2.0
"""`edge-agent doctor`: readers look at the board and at what the agent needs of it, rules say what that means."""
