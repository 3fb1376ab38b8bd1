# SPDX-License-Identifier: Apache-2.0
"""One `edge-runner serve` process, from its start to its end.

The agent owns the listening socket and hands it over, so the socket outlives the process: clients that connect between
two processes wait in its backlog instead of being refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgectl_protos.errors import RunnerError
from edgectl_protos.tensors import TensorData

from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.connections import ConnectionPool
from edgectl_agent.runner.frames import RunnerStats
from edgectl_agent.runner.outcome import describe_exit
from edgectl_agent.runner.process import RunnerProcess, spawn, tied_to_agent
from edgectl_agent.store.slots import Slot

_READY_SECONDS = 30.0
_STOP_SECONDS = 3.0
_STATS_SECONDS = 2.0
_QUEUE = 16
_INFERENCE_CONNECTIONS = 8
_FRAME_OVERHEAD = 4096

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Inference:
    """Outputs, the microseconds inside `execute`, and the digest of the bundle that gave them."""

    outputs: tuple[TensorData, ...]
    execute_us: float
    digest: str


@dataclass(frozen=True, slots=True)
class ServeCommand:
    """What every serving process is started with."""

    runner: RunnerCommand
    threads: int


class RunnerEndedError(RunnerError):
    """The process went away while something was asked of it."""


class ServingProcess:
    """A ready runner for one slot. `ended` holds, once it is over, the reason."""

    def __init__(self, process: RunnerProcess, slot: Slot, address: Path) -> None:
        self.slot = slot
        self.pid = process.pid
        self.ended: asyncio.Task[str] = asyncio.create_task(_reason_of_end(process))
        self._process = process
        outputs = sum(spec.nbytes for spec in slot.manifest.outputs) + _FRAME_OVERHEAD
        self._inference = ConnectionPool(address, max_payload=outputs, limit=_INFERENCE_CONNECTIONS)
        self._stats = ConnectionPool(address, max_payload=0, limit=1)

    async def infer(self, inputs: tuple[TensorData, ...]) -> Inference:
        """Run the program once.

        Raises:
            RunnerEndedError: the process ended before it answered.
            EdgectlError: the runner refused.
        """
        async with self._inference.lease() as connection:
            outputs, execute_us = await self._unless_ended(connection.infer(inputs))
        return Inference(outputs, execute_us, self.slot.digest)

    async def stats(self) -> RunnerStats:
        """Its figures.

        Raises:
            RunnerError: it ended, or did not answer in time.
        """
        try:
            async with asyncio.timeout(_STATS_SECONDS), self._stats.lease() as connection:
                return await self._unless_ended(connection.stats())
        except TimeoutError as error:
            raise RunnerError(f"the runner gave no figures for {_STATS_SECONDS:g} s") from error

    async def stop(self) -> None:
        """Ask it to end, kill it where it does not, and close the connections."""
        self._process.terminate()
        # Not asyncio.timeout: before Python 3.11.3 it takes its own end for a cancellation in a task that is cancelled.
        await asyncio.wait({self.ended}, timeout=_STOP_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Reap the process, killing it where it still runs, and close the connections."""
        await self._process.stop()
        await asyncio.wait({self.ended})
        await self._inference.close()
        await self._stats.close()

    async def _unless_ended(self, answer: Awaitable[_Answer]) -> _Answer:
        """The answer; a connection to a dead runner may wait in the backlog for ever, so its end counts too."""
        asking = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({asking, self.ended}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
        except ConnectionError:
            await asyncio.wait({self.ended}, timeout=_STATS_SECONDS)
        finally:
            asking.cancel()
        reason = self.ended.result() if self.ended.done() else "closed the connection"
        raise RunnerEndedError(f"the runner of {self.slot.manifest.name!r} {reason}")


async def start_serving(command: ServeCommand, slot: Slot, *, listener: int, address: Path) -> ServingProcess:
    """Start a runner on the listening socket with descriptor `listener` and wait until it has loaded the program.

    Raises:
        RunnerError: it ended, or was not ready in time; the reason is in the message.
    """
    arguments = ["serve", str(slot.program), "--listen-fd", str(listener), "--queue", str(_QUEUE), *tied_to_agent()]
    if command.threads:
        arguments += ["--threads", str(command.threads)]
    process = RunnerProcess(await spawn(command.runner, *arguments, pass_fds=(listener,)))
    patience = _READY_SECONDS * command.runner.patience
    try:
        async with asyncio.timeout(patience):
            await _await_ready(process, slot)
        return ServingProcess(process, slot, address)
    except TimeoutError as error:
        await process.stop()
        raise RunnerError(f"the runner of {slot.manifest.name!r} was not ready in {patience:g} s") from error
    except BaseException:
        await asyncio.shield(process.stop())
        raise


async def _await_ready(process: RunnerProcess, slot: Slot) -> None:
    line = await process.line()
    try:
        ready = json.loads(line).get("ready") is True
    except (ValueError, AttributeError):
        ready = False
    if ready:
        return
    returncode, stderr = await process.wait()
    raise RunnerError(f"the runner of {slot.manifest.name!r} did not start: {describe_exit(returncode, stderr)}")


async def _reason_of_end(process: RunnerProcess) -> str:
    returncode, stderr = await process.wait()
    return describe_exit(returncode, stderr)
