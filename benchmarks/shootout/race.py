# SPDX-License-Identifier: Apache-2.0
"""All runtimes on one case: loaded and checked, then one block of each in turn, round after round.

Every process waits while another's block runs, so what the machine does in a round it does to all of them; each round
begins with another runtime, so that none always follows the same neighbour.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shootout.answers import agreement
from shootout.cases import Case, Failed, Outcome, Timed
from shootout.conversion import assets_of, converted
from shootout.environments import UnavailableError
from shootout.peers import Peer
from shootout.sessions import Session, answer_of, start


@dataclass(frozen=True, slots=True)
class Settings:
    """`seconds` is how long a block lasts at least."""

    runner: str
    cache: Path
    rounds: int
    seconds: float


@dataclass(slots=True)
class Entrant:
    session: Session
    agreement: str
    note: str
    blocks: list[tuple[float, ...]] = field(default_factory=list)


def race(case: Case, peers: Sequence[Peer], settings: Settings) -> dict[str, Outcome]:
    """What came of each peer, by name, in the order of `peers`."""
    failed: dict[str, Failed] = {}
    entrants: dict[str, Entrant] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        assets = assets_of(case.model, settings.cache)
        folders = _folders(case, peers, settings, failed)
        sessions: dict[str, Session] = {}
        for peer in peers:
            if peer.name not in folders:
                continue
            try:
                sessions[peer.name] = start(
                    peer,
                    case,
                    folders[peer.name],
                    assets,
                    scratch,
                    runner=settings.runner,
                    cache=settings.cache,
                    seconds=settings.seconds,
                )
            except (OSError, UnavailableError) as error:
                failed[peer.name] = Failed(str(error))
            else:
                stack.callback(sessions[peer.name].close)
        expected = np.load(assets / "expected.npy")
        for peer in peers:
            if peer.name not in sessions:
                continue
            try:
                sessions[peer.name].ready()
                answer = answer_of(peer, case, folders[peer.name], assets, scratch, runner=settings.runner)
                right, distance = agreement(answer, expected, case.precision)
                if not right:
                    raise UnavailableError(f"a wrong answer: {distance}")
            except (OSError, UnavailableError) as error:
                failed[peer.name] = Failed(str(error))
            else:
                note = _note(folders[peer.name], case.precision)
                entrants[peer.name] = Entrant(sessions[peer.name], distance, note)
        _rounds(entrants, settings.rounds, failed)
    timed = {
        name: Timed(tuple(one.blocks), one.agreement, one.note) for name, one in entrants.items() if name not in failed
    }
    outcomes: dict[str, Outcome] = {**timed, **failed}
    return {peer.name: outcomes[peer.name] for peer in peers}


def _folders(case: Case, peers: Sequence[Peer], settings: Settings, failed: dict[str, Failed]) -> dict[str, Path]:
    folders = {}
    for peer in peers:
        try:
            folders[peer.name] = converted(peer, case.model, case.precision, settings.cache)
        except UnavailableError as error:
            failed[peer.name] = Failed(str(error))
    return folders


def _rounds(entrants: dict[str, Entrant], rounds: int, failed: dict[str, Failed]) -> None:
    names = list(entrants)
    for index in range(rounds):
        first = index % max(1, len(names))
        for name in names[first:] + names[:first]:
            if name in failed:
                continue
            try:
                entrants[name].blocks.append(entrants[name].session.block())
            except UnavailableError as error:
                failed[name] = Failed(str(error))


def _note(folder: Path, precision: str) -> str:
    path = folder / f"{precision}.note"
    return path.read_text().strip() if path.is_file() else ""
