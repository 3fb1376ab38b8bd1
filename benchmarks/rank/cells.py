# SPDX-License-Identifier: Apache-2.0
"""The cells of NAS-Bench-201 (Dong and Yang, 2020) with their networks' latencies on a Raspberry Pi 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NODES = 4
EDGES = [(source, target) for target in range(1, NODES) for source in range(target)]


@dataclass(frozen=True, slots=True)
class Cell:
    """An operation for each edge (source, target) of the four nodes, and what the network took on the board."""

    index: int
    operations: tuple[str, ...]
    raspberry_pi_4_ms: float

    @property
    def connected(self) -> bool:
        """Whether anything of the input reaches the output."""
        return NODES - 1 in reached_nodes(self.operations)


def read_cells(path: Path) -> tuple[Cell, ...]:
    """All cells of the file with an output that depends on the input.

    Raises:
        ValueError: it is not that file.
    """
    with np.load(path, allow_pickle=False) as data:
        missing = {"ops", "edges", "arch", "raspberry_pi_4_ms"} - set(data.files)
        if missing:
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}")
        names, edges = [str(name) for name in data["ops"]], [str(edge) for edge in data["edges"]]
        chosen, latencies = data["arch"], data["raspberry_pi_4_ms"]
    places = [edges.index(f"{source}->{target}") for source, target in EDGES]
    cells = (
        Cell(index, tuple(names[row[place]] for place in places), float(latency))
        for index, (row, latency) in enumerate(zip(chosen, latencies, strict=True))
    )
    return tuple(cell for cell in cells if cell.connected)


def draw(cells: Sequence[Cell], count: int, *, seed: int) -> tuple[Cell, ...]:
    """`count` different cells, each as likely as any other."""
    places = np.random.default_rng(seed).choice(len(cells), size=count, replace=False)
    return tuple(cells[place] for place in places)


def computed_edges(operations: Sequence[str]) -> tuple[int, ...]:
    """The places of the edges with an operation whose result the output depends on, in the order of `EDGES`."""
    leading = {NODES - 1}
    for (source, target), operation in reversed(list(zip(EDGES, operations, strict=True))):
        if operation != "none" and target in leading:
            leading.add(source)
    return tuple(place for place, (_, target) in enumerate(EDGES) if operations[place] != "none" and target in leading)


def reached_nodes(operations: Sequence[str]) -> set[int]:
    """The nodes that something of the input reaches."""
    reached = {0}
    for (source, target), operation in zip(EDGES, operations, strict=True):
        if operation != "none" and source in reached:
            reached.add(target)
    return reached
