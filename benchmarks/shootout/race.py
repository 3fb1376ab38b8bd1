# SPDX-License-Identifier: Apache-2.0
"""All runtimes on one case: loaded and checked, then one block of each in turn, round after round.

Every process waits while another's block runs, so what the machine does in a round it does to all of them; each round
begins with another runtime, so that none always follows the same neighbour.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shootout.answers import agreement
from shootout.cases import Case, Failed, Outcome, Timed
from shootout.conversion import assets_of, converted
from shootout.environments import UnavailableError
from shootout.peers import Peer
from shootout.sessions import Files, Session, Settings, answer_of, start


@dataclass(slots=True)
class Entrant:
    """A peer on its way through a case; `failure` ends it, and it is left out of what follows."""

    peer: Peer
    files: Files | None = None
    session: Session | None = None
    agreement: str = ""
    blocks: list[tuple[float, ...]] = field(default_factory=list)
    failure: str | None = None

    def outcome(self, case: Case) -> Outcome:
        if self.failure is not None or self.files is None:
            return Failed(self.failure or "it was not raced")
        note = self.files.folder / f"{case.precision}.note"
        return Timed(tuple(self.blocks), self.agreement, note.read_text().strip() if note.is_file() else "")


def race(case: Case, peers: Sequence[Peer], settings: Settings) -> dict[str, Outcome]:
    """What came of each peer, by name, in the order of `peers`.

    Raises:
        UnavailableError: the model itself cannot be made.
    """
    entrants = [Entrant(peer) for peer in peers]
    assets = assets_of(case.model, settings.cache)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def convert(entrant: Entrant) -> None:
            folder = converted(entrant.peer, case.model, case.precision, settings.cache)
            entrant.files = Files(folder, assets, scratch / f"{entrant.peer.name}.npy")

        def begin(entrant: Entrant) -> None:
            assert entrant.files is not None
            entrant.session = start(entrant.peer, case, entrant.files, settings)
            stack.callback(entrant.session.close)

        def check(entrant: Entrant) -> None:
            assert entrant.files is not None
            assert entrant.session is not None
            entrant.session.ready()
            answer = answer_of(entrant.peer, case, entrant.files, settings)
            right, entrant.agreement = agreement(answer, np.load(assets / "expected.npy"), case.precision)
            if not right:
                raise UnavailableError(f"a wrong answer: {entrant.agreement}")

        for step in (convert, begin, check):  # all of one before the next: no conversion beside a running process
            for entrant in entrants:
                _attempt(entrant, step)
        for index in range(settings.rounds):
            first = index % len(entrants)
            for entrant in entrants[first:] + entrants[:first]:
                _attempt(entrant, _block)
    return {entrant.peer.name: entrant.outcome(case) for entrant in entrants}


def _attempt(entrant: Entrant, step: Callable[[Entrant], None]) -> None:
    if entrant.failure is not None:
        return
    try:
        step(entrant)
    except (OSError, UnavailableError) as error:
        entrant.failure = str(error)


def _block(entrant: Entrant) -> None:
    assert entrant.session is not None
    entrant.blocks.append(entrant.session.block())
