# SPDX-License-Identifier: Apache-2.0
"""What a set of channels is called: the layer that makes them."""

from __future__ import annotations

from edgectl.compress.structured.analysis import ROWS, ChannelAnalysis


def place_of_atom(analysis: ChannelAnalysis, leader: int) -> str:
    """The layer that makes the channels of an atom, or else one that they pass through."""
    found = ""
    for binding in analysis.bindings:
        if bool((analysis.members[binding.labels] == leader).any()):
            found = found or binding.tensor
            if binding.role == ROWS:
                return binding.tensor.rpartition(".")[0] or binding.tensor
    return found.rpartition(".")[0] or found
