# SPDX-License-Identifier: Apache-2.0
"""Reading `NAME-VERSION.edge`: a zip whose manifest vouches for every other member.

Nothing is believed before its digest is checked, sizes are bounded before anything is unpacked, and only the
paths the manifest names are written.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgectl_protos.errors import BundleError, UsageError
from edgectl_protos.manifest import (
    MANIFEST_MEMBER,
    MAX_MANIFEST_BYTES,
    Manifest,
    Member,
    manifest_digest,
    parse_manifest,
)

MAX_UNPACKED_BYTES = 2 << 30
MAX_MEMBERS = 256
_CHUNK = 1 << 18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others can ask for gigabytes of working memory
_END_RECORD = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_ZIP64_LOCATOR_BYTES = 20
_ZIP64_LOCATOR_SIGNATURE = b"PK\x06\x07"
_MAX_DIRECTORY_BYTES = (MAX_MEMBERS + 1) * 512
_READ_ERRORS = (
    KeyError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """A bundle's manifest and digest."""

    manifest: Manifest
    digest: str


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A bundle whose manifest has been read; members are verified as they are read."""

    info: BundleInfo
    archive: zipfile.ZipFile

    def read(self, path: str) -> bytes:
        """The verified bytes of one member."""
        parts: list[bytes] = []
        self._copy(path, parts.append)
        return b"".join(parts)

    def verify(self) -> None:
        """Check every member against the manifest."""
        for path in self.info.manifest.members:
            self._copy(path, _discard)

    def unpack(self, directory: Path) -> None:
        """Write the manifest and every member below `directory`, which must be empty.

        On an error the caller removes the directory.
        """
        data = _read_manifest(self.archive)
        if manifest_digest(data) != self.info.digest:
            raise BundleError("the manifest changed while it was read", action="copy the bundle again")
        (directory / MANIFEST_MEMBER).write_bytes(data)
        for path in self.info.manifest.members:
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                self._copy(path, file.write)

    def _copy(self, path: str, write: Callable[[bytes], object]) -> None:
        member = self.info.manifest.members[path]
        digest = hashlib.sha256()
        size = 0
        for chunk in self._chunks(path, member):
            digest.update(chunk)
            size += len(chunk)
            write(chunk)
        if size != member.bytes or digest.hexdigest() != member.sha256:
            raise BundleError(
                f"{self.archive.filename} is damaged: {path!r} in it is not what was packed",
                action="copy or build the bundle again",
            )

    def _chunks(self, path: str, member: Member) -> Iterator[bytes]:
        remaining = member.bytes + 1
        try:
            with self.archive.open(path) as file:
                while remaining > 0 and (chunk := file.read(min(_CHUNK, remaining))):
                    remaining -= len(chunk)
                    yield chunk
        except _READ_ERRORS as error:
            raise BundleError(
                f"{self.archive.filename} is damaged: {path!r} in it cannot be read ({error})",
                action="copy or build the bundle again",
            ) from error


def _discard(_chunk: bytes) -> None:
    pass


@contextmanager
def open_bundle(path: Path) -> Iterator[OpenBundle]:
    """Open a bundle and read its manifest.

    Raises:
        UsageError: there is no such file, it may not be read, or is a folder.
        BundleError: it is no bundle, damaged, or larger unpacked than this version accepts.
    """
    archive = _open_archive(path)
    with archive:
        try:
            info = _read_info(archive)
        except BundleError as error:
            raise type(error)(f"{path}: {error.seen}", expected=error.expected, action=error.action) from error
        yield OpenBundle(info, archive)


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            _check_directory(file)
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise UsageError(f"no file {path}", expected="a bundle (NAME-VERSION.edge)", action="check the path") from error
    except IsADirectoryError as error:
        raise UsageError(
            f"{path} is a folder", expected="a bundle (NAME-VERSION.edge)", action="give the file in it"
        ) from error
    except (PermissionError, NotADirectoryError) as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror})",
            expected="a bundle (NAME-VERSION.edge)",
            action="check the path",
        ) from error
    except _READ_ERRORS as error:
        raise BundleError(
            f"{path} is no bundle ({error})",
            expected="a zip written by edgectl",
            action="copy or build the bundle again",
        ) from error


def _check_directory(file: BinaryIO) -> None:
    """Bound the zip's directory before `zipfile` reads it whole: the end record comes last, and nothing follows it.

    `zipfile` believes a zip64 locator before the end record more than the end record, so there must be none: no bundle
    is large enough to need one.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_RECORD.size - _ZIP64_LOCATOR_BYTES))
    end = file.read(_ZIP64_LOCATOR_BYTES + _END_RECORD.size)
    before, tail = end[: -_END_RECORD.size], end[-_END_RECORD.size :]
    if before.startswith(_ZIP64_LOCATOR_SIGNATURE):
        raise ValueError("a zip64 archive")
    if len(tail) < _END_RECORD.size or not tail.startswith(_END_SIGNATURE):
        raise ValueError("it does not end as a zip does")
    _, disk, first_disk, here, members, directory_bytes, _, comment = _END_RECORD.unpack(tail)
    if disk or first_disk or comment or here != members:
        raise ValueError("a zip in parts, or with a comment")
    if members > MAX_MEMBERS + 1 or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"{members} members listed in {directory_bytes} bytes")


def _read_manifest(archive: zipfile.ZipFile) -> bytes:
    try:
        size = archive.getinfo(MANIFEST_MEMBER).file_size
        if size > MAX_MANIFEST_BYTES:
            raise BundleError(f"a manifest of {size} bytes", expected=f"at most {MAX_MANIFEST_BYTES}")
        return archive.read(MANIFEST_MEMBER)
    except _READ_ERRORS as error:
        raise BundleError(
            f"the manifest cannot be read ({error})",
            expected=f"a member {MANIFEST_MEMBER}",
            action="copy or build the bundle again",
        ) from error


def _read_info(archive: zipfile.ZipFile) -> BundleInfo:
    unfit = [entry.filename for entry in archive.infolist() if entry.compress_type not in _METHODS]
    if unfit:
        raise BundleError(f"member {unfit[0][:80]!r} is packed in another way", expected="stored or deflated members")
    data = _read_manifest(archive)
    manifest = parse_manifest(data)
    names = sorted(entry.filename for entry in archive.infolist())
    if names != sorted([*manifest.members, MANIFEST_MEMBER]):
        raise BundleError(
            f"a zip with {len(names)} members",
            expected=f"its manifest and the {len(manifest.members)} members that names, each once",
        )
    total = sum(member.bytes for member in manifest.members.values())
    if total > MAX_UNPACKED_BYTES:
        raise BundleError(f"{total} bytes unpacked", expected=f"at most {MAX_UNPACKED_BYTES}")
    return BundleInfo(manifest, manifest_digest(data))
