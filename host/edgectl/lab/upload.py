# SPDX-License-Identifier: Apache-2.0
"""A bundle as the stream of messages that carries it. gRPC reads it from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.bundle import open_bundle
from edgectl_protos.errors import BundleError

from edgectl.lab import convert

if TYPE_CHECKING:
    from edgectl_protos.v1 import agent_pb2

CHUNK_BYTES = 256 << 10

Progress = Callable[[int, int], object]
"""Called with bytes sent and bytes in all, from gRPC's thread."""


class BundleUpload:
    """Header, then chunks. `close` ends the stream, so an agent that answers early is not sent the rest."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        """Read the manifest and open the file.

        Raises:
            UsageError: it is missing or a folder.
            BundleError: it is no bundle.
        """
        with open_bundle(path) as bundle:
            self.info = bundle.info
        self.failure: BundleError | None = None
        self._header = convert.bundle_header(self.info, path)
        self._total = path.stat().st_size
        self._progress = progress
        self._path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()

    def messages(self) -> Iterator[agent_pb2.BundleChunk]:
        yield self._header
        sent = 0
        while data := self._read():
            yield convert.bundle_data(data)
            sent += len(data)
            if self._progress is not None:
                self._progress(sent, self._total)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _read(self) -> bytes:
        with self._lock:
            if self._file.closed:
                return b""
            try:
                return self._file.read(CHUNK_BYTES)
            except OSError as error:
                self.failure = BundleError(f"{self._path} cannot be read to its end ({error.strerror})")
                self.failure.__cause__ = error
                return b""
