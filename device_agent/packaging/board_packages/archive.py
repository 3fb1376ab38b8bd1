# SPDX-License-Identifier: Apache-2.0
"""A zip archive whose bytes depend on its members alone: fixed times and modes, the order it is given."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

# The earliest time a zip archive can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE = 0o100000
_UNIX = 3


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a package: its path in it with `/`, its bytes, whether it is a program."""

    path: str
    content: bytes
    executable: bool = False

    @property
    def mode(self) -> int:
        """Permission bits."""
        return 0o755 if self.executable else 0o644


def zip_bytes(members: Iterable[Member]) -> bytes:
    """The archive of `members`, deflated at the highest level."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in members:
            entry = zipfile.ZipInfo(member.path, date_time=_TIME)
            entry.create_system = _UNIX
            entry.external_attr = (_REGULAR_FILE | member.mode) << 16
            archive.writestr(entry, member.content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()
