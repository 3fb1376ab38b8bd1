# SPDX-License-Identifier: Apache-2.0
"""An MQTT 3.1.1 broker inside this process, for a desk: loopback only, anonymous, nothing kept on disk.

amqtt's known faults (0.12): a retained message arrives twice on subscribing, a resumed session loses its queued
messages, and there are no shared subscriptions. A fleet uses mosquitto or EMQX.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from types import TracebackType
from typing import Any, Self

from edgectl_protos.errors import UnreachableError, UsageError

_HOST = "127.0.0.1"
_LISTENER = "loopback"
_STOP_SECONDS = 5.0


class EmbeddedBroker:
    """A context manager: the broker runs in a daemon thread with an event loop of its own.

    Args:
        port: the TCP port on loopback; 0 takes a free one. `port` holds the real one once entered.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.host = _HOST
        self.port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: Exception | asyncio.CancelledError | None = None

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            UsageError: amqtt is not installed.
            UnreachableError: the port is taken, or amqtt cannot start.
        """
        _require_amqtt()
        failure = self._start()
        if isinstance(failure, OSError):
            raise UnreachableError(
                f"the MQTT broker cannot listen on {_HOST}:{self.port} ({failure})",
                expected="a free port",
                action="choose another port, or 0 for a free one",
            ) from failure
        if failure is not None:
            raise UnreachableError(
                f"the MQTT broker cannot start ({type(failure).__name__}: {failure})",
                expected="amqtt 0.12",
                action='run: pip install "edgectl[demo]"; or start another broker and name it',
            ) from failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, stop, thread = self._loop, self._stop, self._thread
        if loop is not None and stop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            thread.join(_STOP_SECONDS)
        self._thread = None

    def _start(self) -> Exception | asyncio.CancelledError | None:
        self._started.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="edgectl-mqtt", daemon=True)
        self._thread.start()
        self._started.wait()
        return self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (Exception, asyncio.CancelledError) as error:
            if self._started.is_set():
                raise  # it did start: this is a defect, for the thread's excepthook
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
        from amqtt.broker import Broker

        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        broker = Broker(_configuration())
        connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            client = broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), _LISTENER)
            task = asyncio.ensure_future(client)
            connections[task] = writer
            task.add_done_callback(lambda done: connections.pop(done).close())

        # The listener is ours, since amqtt does not tell which port it took for 0.
        server = await asyncio.start_server(connected, _HOST, self.port)
        try:
            await broker.start()
        except BaseException:
            server.close()
            raise
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            self._started.set()
            await self._stop.wait()
        finally:
            self._loop.remove_reader(server.sockets[0].fileno())  # a server closed while it accepts loses a socket
            await _settle()
            server.close()
            await broker.shutdown()
            for task, writer in connections.items():
                writer.transport.abort()
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            await _settle()


async def _settle() -> None:
    """Let asyncio finish accepting or closing a connection, which takes it up to three turns of the loop."""
    for _ in range(4):
        await asyncio.sleep(0)


def _configuration() -> dict[str, Any]:
    return {
        "listeners": {"default": {"type": "external"}, _LISTENER: {"type": "external"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


def _require_amqtt() -> None:
    try:
        import amqtt.broker  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "the embedded MQTT broker needs amqtt, which is not installed",
            expected="the extra `demo`",
            action='run: pip install "edgectl[demo]"',
        ) from error
    # amqtt reports every connection and every client that goes away; the broker is nobody's subject here.
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
