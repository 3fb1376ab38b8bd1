# SPDX-License-Identifier: Apache-2.0
"""Keeps one runner serving for one model: starts it, starts it again when it dies, swaps the program under it.

    stopped -> starting -> serving -> (ended) -> waiting -> starting ...

A swap stops the old process before it starts the new one: memory never holds both, and meanwhile the clients wait in
the backlog of the socket, which the agent keeps open.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

from edgectl_protos.errors import RunnerError
from edgectl_protos.tensors import TensorData

from edgectl_agent.background import Background
from edgectl_agent.clock import Clock
from edgectl_agent.runner.frames import RunnerStats
from edgectl_agent.runner.serving import Inference, RunnerEndedError, ServeCommand, ServingProcess, start_serving
from edgectl_agent.store.slots import Slot

FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 30.0
HEALTHY_SECONDS = 60.0

_BACKLOG = 64
_log = logging.getLogger(__name__)


def next_wait(wait: float, *, lived_seconds: float) -> float:
    """Seconds to wait before the start after next: doubled up to the bound, from the beginning after a healthy life."""
    return FIRST_WAIT_SECONDS if lived_seconds >= HEALTHY_SECONDS else min(wait * 2, LONGEST_WAIT_SECONDS)


class ModelSupervisor:
    """The runner of one model and the socket it answers on."""

    def __init__(
        self, name: str, *, command: ServeCommand, address: Path, clock: Clock, background: Background
    ) -> None:
        """Listen on `address` at once; nothing answers before `serve`."""
        self._name = name
        self._command = command
        self._address = address
        self._clock = clock
        self._background = background
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(address))
        self._listener.listen(_BACKLOG)
        self._serving: ServingProcess | None = None
        self._changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._generation = 0
        self.last_exit = ""
        self.starts = 0

    async def serve(self, slot: Slot) -> None:
        """Stop what serves, start `slot`'s program, and return when it answers.

        Raises:
            RunnerError: it did not start; it is tried again, with growing waits, until the next call or `close`.
        """
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._turn:
            self._generation += 1
            self.last_exit = ""
            await self._stop_loop()
            self._loop = self._background.start(self._keep_serving(slot, started))
        await asyncio.shield(started)

    async def infer(self, inputs: tuple[TensorData, ...]) -> Inference:
        """Run the program once; asked again, once, where a swap took the runner away meanwhile."""
        generation = self._generation
        serving = await self._current()
        try:
            return await serving.infer(inputs)
        except RunnerEndedError:
            if generation == self._generation:
                raise
        return await (await self._current()).infer(inputs)

    async def stats(self) -> RunnerStats:
        """Raises `RunnerError` where no runner answers."""
        if self._serving is None:
            raise self._down()
        return await self._serving.stats()

    @property
    def pid(self) -> int | None:
        return self._serving.pid if self._serving else None

    async def close(self) -> None:
        """Stop the runner and remove the socket."""
        async with self._turn:
            await self._stop_loop()
            self._announce(None)
        self._listener.close()
        self._address.unlink(missing_ok=True)

    async def _current(self) -> ServingProcess:
        while self._serving is None:
            if self._loop is None or self.last_exit:
                raise self._down()
            self._changed.clear()
            await self._changed.wait()
        return self._serving

    def _down(self) -> RunnerError:
        reason = self.last_exit or "is starting"
        return RunnerError(
            f"the runner of {self._name!r} is down: {reason}",
            action="it is started again; roll back if it keeps ending",
        )

    async def _keep_serving(self, slot: Slot, started: asyncio.Future[None]) -> None:
        wait = FIRST_WAIT_SECONDS
        try:
            while True:
                began = self._clock.monotonic_ns()
                self.last_exit = await self._serve_once(slot, started)
                self._announce(None)
                _log.warning("the runner of %s ended: %s; started again in %.2f s", self._name, self.last_exit, wait)
                await asyncio.sleep(wait)
                wait = next_wait(wait, lived_seconds=(self._clock.monotonic_ns() - began) / 1e9)
        finally:
            _fail(started, RunnerError(f"the runner of {self._name!r} was replaced before it was ready"))

    async def _serve_once(self, slot: Slot, started: asyncio.Future[None]) -> str:
        """Start a runner and stay until it ends; why it did."""
        try:
            serving = await start_serving(self._command, slot, listener=self._listener.fileno(), address=self._address)
        except RunnerError as error:
            _fail(started, error)
            return error.seen
        self.last_exit = ""
        self.starts += 1
        self._announce(serving)
        if not started.done():
            started.set_result(None)
        try:
            reason = await asyncio.shield(serving.ended)
        except asyncio.CancelledError:
            await serving.stop()
            raise
        await serving.close()
        return reason

    def _announce(self, serving: ServingProcess | None) -> None:
        self._serving = serving
        self._changed.set()

    async def _stop_loop(self) -> None:
        """End the process; those who ask meanwhile wait for the next one."""
        self._announce(None)
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait({self._loop})
            self._loop = None


def _fail(started: asyncio.Future[None], error: RunnerError) -> None:
    if not started.done():
        started.set_exception(error)
        started.exception()  # retrieved here: nobody may be waiting any more
