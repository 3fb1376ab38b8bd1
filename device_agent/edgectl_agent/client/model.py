# SPDX-License-Identifier: Apache-2.0
"""A model that serves, whoever runs it at the moment: connections are kept, and replaced when its runner is."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from pathlib import Path

from edgectl_protos.errors import EdgectlError, RunnerError, StateError, UnreachableError, UsageError

from edgectl_agent.client.answer import Answer
from edgectl_agent.client.connection import Connection, ConnectionLostError, Deadline
from edgectl_agent.client.folder import read_listing
from edgectl_agent.client.inputs import as_tensors
from edgectl_agent.runner.listing import ModelListing

DEFAULT_TIMEOUT_SECONDS = 30.0

_MOST_IDLE = 8
_SWAP_SECONDS = 1.0
_SWAP_POLL_SECONDS = 0.01


class Model:
    """A model by its name.

    May be used by several threads at once, each call taking a connection of its own, and after a fork. A runner serves
    64 clients at most; up to 8 idle connections are kept here.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._idle: deque[Connection] = deque()
        self._closed = False

    @property
    def name(self) -> str:
        return self._name

    def listing(self) -> ModelListing:
        """What serves under this name now.

        Raises:
            StateError: nothing does.
        """
        return read_listing(self._directory, self._name)

    def run(self, *inputs: object, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> Answer:
        """Run the program once on `inputs`, which are anything with the buffer protocol (see `as_tensors`).

        A call that a swap of the model interrupts is asked again of the new one. A call whose runner ended while it
        ran is not: the input may be what ended it.

        Args:
            inputs: one for each input of the program, in order.
            timeout: seconds for the whole call; what waits for a runner to start waits within it.

        Raises:
            InputError: the inputs do not fit the program.
            BusyError: the runner's queue is full, or too many clients are connected; nothing was run.
            DeadlineError: no answer in time.
            RunnerError: the program failed, or its runner ended.
            StateError: no such model is active, or this is closed.
            UnreachableError: no agent listens, or this user may not connect.
        """
        if not (math.isfinite(timeout) and timeout > 0):
            raise UsageError(f"timeout {timeout}", expected="seconds, above 0")
        deadline = Deadline(timeout)
        connection = self._take(deadline)
        pause = 0.0
        while True:
            try:
                return connection.infer(as_tensors(inputs, connection.listing.inputs), deadline)
            except ConnectionLostError as lost:
                if lost.taken and not self._swapped_since(connection.listing):
                    raise self._ended() from lost
            finally:
                self._give_back(connection)
            self._drop_idle()
            time.sleep(pause)
            pause = _SWAP_POLL_SECONDS
            connection = self._reopen(deadline)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their call ends."""
        self._closed = True
        self._drop_idle()

    def _take(self, deadline: Deadline) -> Connection:
        if self._closed:
            raise StateError(f"the client of {self._name!r} is closed", expected="an open one", action="connect again")
        process = os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open(deadline)
            if connection.process == process:
                return connection
            connection.close()  # the parent's: its answers are not ours

    def _open(self, deadline: Deadline) -> Connection:
        return Connection.open(self._directory, self.listing(), deadline)

    def _reopen(self, deadline: Deadline) -> Connection:
        """Open again after a loss; a swap that fails takes the socket away for a moment."""
        patience = time.monotonic() + _SWAP_SECONDS
        while True:
            try:
                return self._open(deadline)
            except (StateError, UnreachableError):
                if time.monotonic() > patience:
                    raise
            time.sleep(min(_SWAP_POLL_SECONDS, deadline.remaining()))

    def _give_back(self, connection: Connection) -> None:
        if not connection.usable:
            connection.close()
            return
        self._idle.append(connection)
        self._drop_idle(keep=0 if self._closed else _MOST_IDLE)

    def _drop_idle(self, *, keep: int = 0) -> None:
        while len(self._idle) > keep:
            try:
                self._idle.popleft().close()
            except IndexError:  # taken by another thread
                return

    def _swapped_since(self, listing: ModelListing) -> bool:
        try:
            return self.listing().serving_since_ns != listing.serving_since_ns
        except EdgectlError:
            return False

    def _ended(self) -> RunnerError:
        return RunnerError(
            f"the runner of {self._name!r} ended while it had this request",
            expected="an answer",
            action="the agent starts it again and its log says why; if this input ends it every time, roll back",
        )
