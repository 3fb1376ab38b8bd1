# SPDX-License-Identifier: Apache-2.0
"""Connections of the agent to one serving runner over asyncio streams, a few of them reused between requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edgectl_protos.errors import InputError, RunnerError
from edgectl_protos.tensors import TensorData

from edgectl_agent.runner.frames import (
    HEADER_BYTES,
    MAX_TEXT_BYTES,
    Header,
    Kind,
    RunnerStats,
    decode_header,
    decode_stats,
    decode_tensors,
    encode_frame,
    encode_tensors,
    error_from_status,
)


class RunnerConnection:
    """One connection to a serving runner: one request at a time, answered in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, max_payload: int) -> None:
        self._reader = reader
        self._writer = writer
        self._max_payload = max(max_payload, MAX_TEXT_BYTES)
        self._request = 0

    @classmethod
    async def open(cls, path: Path, *, max_payload: int) -> RunnerConnection:
        """Connect to the socket at `path`; answers longer than `max_payload` bytes are refused.

        Raises:
            RunnerError: the socket is gone, refuses, or this process may open no more files.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 20)
        except OSError as error:
            raise RunnerError(
                f"the runner cannot be reached at {path.name} ({error.strerror or error})",
                action="ask again; restart the agent if it stays so",
            ) from error
        return cls(reader, writer, max_payload=max_payload)

    async def infer(self, inputs: tuple[TensorData, ...]) -> tuple[tuple[TensorData, ...], float]:
        """The program's outputs and the microseconds inside `execute`.

        Raises:
            EdgectlError: what the runner answered instead.
            ConnectionError: the runner went away.
        """
        header, payload = await self._ask(Kind.INFER, encode_tensors(inputs), Kind.RESULT)
        return decode_tensors(payload), header.execute_ns / 1000.0

    async def stats(self) -> RunnerStats:
        """The runner's figures; latencies are since the previous call of anyone."""
        _, payload = await self._ask(Kind.STATS, b"", Kind.STATS_RESULT)
        return decode_stats(payload)

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return

    async def _ask(self, kind: Kind, payload: bytes, wanted: Kind) -> tuple[Header, bytes]:
        self._request += 1
        try:
            self._writer.write(encode_frame(kind, self._request, payload))
            await self._writer.drain()
            header = decode_header(await self._reader.readexactly(HEADER_BYTES))
            if header.payload_bytes > self._max_payload:
                raise RunnerError(f"an answer of {header.payload_bytes} bytes", expected=f"at most {self._max_payload}")
            answer = await self._reader.readexactly(header.payload_bytes)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ConnectionResetError("the connection to the runner broke") from error
        if header.kind == Kind.ERROR:
            raise error_from_status(header.status, answer.decode(errors="replace"))
        if header.kind != wanted or header.request != self._request:
            raise RunnerError(f"a frame of kind {header.kind} for request {header.request}", expected=f"kind {wanted}")
        return header, answer


class ConnectionPool:
    """At most `limit` connections; a request waits for a free one.

    A connection goes back only after a whole exchange: one that was cancelled or failed midway is closed, since its
    next answer would belong to another request.
    """

    def __init__(self, path: Path, *, max_payload: int, limit: int) -> None:
        self._path = path
        self._max_payload = max_payload
        self._free: list[RunnerConnection] = []
        self._turns = asyncio.Semaphore(limit)
        self._closed = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[RunnerConnection]:
        async with self._turns:
            connection = (
                self._free.pop()
                if self._free
                else await RunnerConnection.open(self._path, max_payload=self._max_payload)
            )
            whole = False
            try:
                yield connection
                whole = True
            except InputError:
                whole = True
                raise
            finally:
                if whole and not self._closed:
                    self._free.append(connection)
                else:
                    await connection.close()

    async def close(self) -> None:
        self._closed = True
        while self._free:
            await self._free.pop().close()
