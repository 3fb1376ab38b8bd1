# SPDX-License-Identifier: Apache-2.0
"""The table of the shoot-out, what could not run and why, and the closing line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shootout.cases import Case, Failed, Outcome, Timed
from shootout.peers import APART, COUNTED, EDGE_RUNNER, Peer
from shootout.statistics import Interval, interval_of, verdict

Results = Mapping[Case, Mapping[str, Outcome]]

APART_BAR = 5
_MARKS = {"ahead": "+", "tied": "=", "behind": "-"}


def table(results: Results, peers: Sequence[Peer]) -> list[str]:
    """One line for each case: medians with half their intervals' width; a mark says how edge-runner stands."""
    rows = [["p50 ms", "threads", *(peer.title for peer in peers)]]
    for case, outcomes in results.items():
        ours = _interval(outcomes, EDGE_RUNNER.name)
        cells = [_cell(outcomes[peer.name], ours, own=peer is EDGE_RUNNER) for peer in peers]
        rows.append([case.title, str(case.threads), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def remarks(results: Results, peers: Sequence[Peer]) -> list[str]:
    """What could not run and why, and what was peculiar about a conversion; each once."""
    lines: dict[str, None] = {}
    for case, outcomes in results.items():
        for peer in peers:
            outcome = outcomes[peer.name]
            if isinstance(outcome, Failed):
                lines[f"{peer.title} cannot run {case.title}: {outcome.reason}"] = None
            elif outcome.note:
                lines[f"{peer.title}, {case.title}: {outcome.note}"] = None
    return list(lines)


def standings(results: Results, threads: int, rivals: Sequence[str]) -> tuple[list[Case], list[Case]]:
    """The cases on so many threads that any rival ran, and those of them where edge-runner is behind none of them."""
    counted, held = [], []
    for case, outcomes in results.items():
        theirs = [_interval(outcomes, name) for name in rivals]
        present = [one for one in theirs if one is not None]
        if case.threads != threads or not present:
            continue
        counted.append(case)
        ours = _interval(outcomes, EDGE_RUNNER.name)
        if ours is not None and all(verdict(ours, one) != "behind" for one in present):
            held.append(case)
    return counted, held


def closing_line(results: Results) -> str:
    """Wins and ties over cases at one thread, the bar's peers first and OpenVINO after."""
    counted, held = standings(results, 1, COUNTED)
    apart, apart_held = standings(results, 1, (APART,))
    return (
        f"{len(held)}/{len(counted)} cases at 1 thread ahead of or tied with every peer that ran them, "
        f"{len(apart_held)}/{len(apart)} with OpenVINO"
    )


def meets_bar(results: Results) -> bool:
    """Behind no counted peer in any case, and not behind OpenVINO in at least `APART_BAR` cases (or all, if fewer)."""
    counted, held = standings(results, 1, COUNTED)
    apart, apart_held = standings(results, 1, (APART,))
    return len(held) == len(counted) and len(apart_held) >= min(APART_BAR, len(apart))


def as_json(results: Results) -> list[dict[str, Any]]:
    """Every block's samples in ms, with the figures made of them."""
    return [
        {
            "model": case.model,
            "precision": case.precision,
            "threads": case.threads,
            "runtimes": {
                name: _plain(outcome, _interval(outcomes, EDGE_RUNNER.name)) for name, outcome in outcomes.items()
            },
        }
        for case, outcomes in results.items()
    ]


def _interval(outcomes: Mapping[str, Outcome], name: str) -> Interval | None:
    outcome = outcomes.get(name)
    return interval_of(outcome.blocks) if isinstance(outcome, Timed) else None


def _cell(outcome: Outcome, ours: Interval | None, *, own: bool) -> str:
    if isinstance(outcome, Failed):
        return "cannot run"
    theirs = interval_of(outcome.blocks)
    digits = 3 if theirs.median < 1 else 2 if theirs.median < 10 else 1
    text = f"{theirs.median:.{digits}f} ±{(theirs.high - theirs.low) / 2:.{digits}f}"
    return text if own or ours is None else f"{text} {_MARKS[verdict(ours, theirs)]}"


def _plain(outcome: Outcome, ours: Interval | None) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return {"error": outcome.reason}
    theirs = interval_of(outcome.blocks)
    return {
        "p50": theirs.median,
        "low": theirs.low,
        "high": theirs.high,
        "edge_runner": None if ours is None else verdict(ours, theirs),
        "agreement": outcome.agreement,
        "note": outcome.note,
        "blocks": [[round(sample, 6) for sample in block] for block in outcome.blocks],
    }
