# SPDX-License-Identifier: Apache-2.0
"""Bundles on their way in: bounded temporary files that leave nothing behind when an upload breaks off."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgectl_protos.errors import BundleError, StateError, UsageError

RESERVE_BYTES = 32 << 20
"""Left free for the rest of the board: logs, and the agent's own state."""


class Upload:
    """One temporary file that accepts exactly the bytes that were announced."""

    def __init__(self, path: Path, file: IO[bytes], *, size: int) -> None:
        self.path = path
        self._file = file
        self._size = size
        self._received = 0

    @property
    def missing(self) -> int:
        """Bytes still to come, which the disk does not hold yet."""
        return self._size - self._received

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            BundleError: more bytes than were announced.
            StateError: the disk is full.
        """
        if len(chunk) > self.missing:
            raise BundleError(
                f"{self._received + len(chunk)} bytes of bundle or more",
                expected=f"the {self._size} its header announces",
                action="send the file again",
            )
        with no_space_is_a_state():
            self._file.write(chunk)
        self._received += len(chunk)

    def finish(self) -> None:
        """Flush the file.

        Raises:
            BundleError: fewer bytes than were announced.
        """
        if self.missing:
            raise BundleError(
                f"the upload ended after {self._received} bytes",
                expected=f"the {self._size} its header announces",
                action="send the file again",
            )
        with no_space_is_a_state():
            self._file.flush()


class UploadArea:
    """The folder of uploads; what an earlier life left there is removed on opening it."""

    def __init__(self, directory: Path, *, max_bytes: int, free_bytes: Callable[[Path], int] | None = None) -> None:
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True)
        self._directory = directory
        self._max_bytes = max_bytes
        self._uploads: set[Upload] = set()
        self._free_bytes = free_bytes or _free_bytes

    @contextmanager
    def receive(self, size: int) -> Iterator[Upload]:
        """A file for `size` bytes, removed at the end whatever happens.

        Raises:
            UsageError: `size` is 0 or beyond what this agent accepts.
            StateError: there is no room for it.
        """
        if not 0 < size <= self._max_bytes:
            raise UsageError(
                f"a bundle of {size} bytes",
                expected=f"1 to {self._max_bytes}",
                action="raise max_bundle_bytes in the agent's configuration if the board has room",
            )
        self.check_room(size)
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix="upload-") as file:
            upload = Upload(Path(file.name), file.file, size=size)
            self._uploads.add(upload)
            try:
                yield upload
            finally:
                self._uploads.discard(upload)

    @contextmanager
    def unpacking(self) -> Iterator[Path]:
        """An empty folder to unpack into, removed at the end unless it was moved away."""
        folder = Path(tempfile.mkdtemp(dir=self._directory, prefix="unpacked-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def check_room(self, size: int) -> None:
        """Raise `StateError` unless `size` bytes fit beside what the uploads under way still miss and the reserve."""
        missing = sum(upload.missing for upload in tuple(self._uploads))
        free = self._free_bytes(self._directory) - missing - RESERVE_BYTES
        if size > free:
            raise StateError(
                f"{max(free, 0)} bytes free on the device",
                expected=f"{size} for the bundle",
                action="free some space and send it again",
            )


@contextmanager
def no_space_is_a_state() -> Iterator[None]:
    """Turn a full disk into a `StateError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise StateError("the device's disk is full", action="free some space and send it again") from error


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
