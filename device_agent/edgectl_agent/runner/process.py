# SPDX-License-Identifier: Apache-2.0
"""One short-lived edge-runner process: it never outlives the block that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edgectl_protos.errors import DeadlineError, RunnerError

from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.outcome import runner_failure

MAX_LINE_BYTES = 64 << 20
"""The longest line the runner may print: a block of 2^21 samples."""

_GOES_FIRST = "500"  # of 1000, as if it took half of the board's memory more than it does
_MAX_ERROR_BYTES = 64 << 10
_LAST_WORDS_SECONDS = 1.0


class RunnerProcess:
    """A started runner; read its lines, then `finish` it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = asyncio.create_task(_read_bounded(process.stderr))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self) -> bytes:
        """The next line on its standard output, at most `MAX_LINE_BYTES`; empty at the end."""
        if self._process.stdout is None:
            return b""
        try:
            return await self._process.stdout.readline()
        except ValueError as error:
            raise RunnerError("edge-runner printed a line that is too long") from error

    async def write(self, command: bytes) -> None:
        """Give a commanded process its next line; where it has ended, reading tells."""
        if self._process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(command)
                await self._process.stdin.drain()

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines on its standard output."""
        while line := await self.line():
            yield line

    def terminate(self) -> None:
        """Ask it to end, where it still runs."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def finish(self) -> None:
        """Wait for its end.

        Raises:
            EdgectlError: it did not end with 0; the error says how.
        """
        returncode = await self._process.wait()
        stderr = await self._errors
        if returncode != 0:
            raise runner_failure(returncode, stderr)

    async def wait(self) -> tuple[int, str]:
        """Its exit status and what it wrote on stderr."""
        return await self._process.wait(), await self._errors

    async def stop(self) -> None:
        """Kill it where it still runs, and reap it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        # Whoever waits for the end wants to read what it said last; a child of its own may hold the pipe open.
        await asyncio.wait({self._errors}, timeout=_LAST_WORDS_SECONDS)
        self._errors.cancel()


@asynccontextmanager
async def running(runner: RunnerCommand, *arguments: str, commanded: bool = False) -> AsyncIterator[RunnerProcess]:
    """Start `runner ARGUMENTS`; it is dead when the block is left, by whatever way. `commanded` gives it an input.

    Raises:
        RunnerError: it cannot be started.
    """
    process = RunnerProcess(await spawn(runner, *arguments, commanded=commanded))
    try:
        yield process
    finally:
        await asyncio.shield(process.stop())


def tied_to_agent(*, digits: int = 1) -> tuple[str, ...]:
    """Arguments of every mode but info that let no runner outlive this process.

    The kernel kills the runner with the thread that starts it; naming the parent covers the moment before the runner
    has asked for that: one whose parent is another by then ends at once. `digits` is the least width of its number.
    """
    return "--die-with-parent", "--parent-pid", str(os.getpid()).zfill(digits)


async def spawn(
    runner: RunnerCommand, *arguments: str, pass_fds: tuple[int, ...] = (), commanded: bool = False
) -> asyncio.subprocess.Process:
    """Start the runner with pipes for its output, and one for its input where it is `commanded`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *runner.words,
            *arguments,
            stdin=asyncio.subprocess.PIPE if commanded else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=pass_fds,
            env=runner.environment,
            cwd=runner.folder,
            limit=MAX_LINE_BYTES,
        )
    except OSError as error:
        raise RunnerError(
            f"{runner.words[0]} cannot be started ({error})",
            expected="the edge-runner program",
            action="install it or pass --runner",
        ) from error
    _volunteer(process.pid)
    return process


async def run_once(runner: RunnerCommand, *arguments: str, seconds: float) -> tuple[int, bytes, str]:
    """Exit status, last line of stdout, and stderr of `runner ARGUMENTS`.

    Raises:
        DeadlineError: it took longer than `seconds`, times the runner's patience; it was killed.
    """
    seconds *= runner.patience
    try:
        async with asyncio.timeout(seconds), running(runner, *arguments) as process:
            last = b""
            async for line in process.lines():
                last = line
            returncode, stderr = await process.wait()
            return returncode, last, stderr
    except TimeoutError as error:
        raise DeadlineError(
            f"edge-runner {arguments[0]} ran for {seconds:g} s",
            expected="an answer by then",
            action="the program may hang",
        ) from error


def _volunteer(pid: int) -> None:
    """Where the board's memory runs out, have the kernel take a runner and not the agent, as any process may offer."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(_GOES_FIRST)


async def _read_bounded(stream: asyncio.StreamReader | None) -> str:
    """Everything the stream carries; the last `_MAX_ERROR_BYTES` of it are kept."""
    kept = b""
    while stream is not None and (chunk := await stream.read(4096)):
        kept = (kept + chunk)[-_MAX_ERROR_BYTES:]
    return kept.decode(errors="replace")
