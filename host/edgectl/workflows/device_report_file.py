# SPDX-License-Identifier: Apache-2.0
"""A report as one file to send: a zip of report.json, with every sample, and report.html to look at. It may come from
anywhere.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from edgectl_protos.errors import UsageError

from edgectl.lab.circumstances import is_shallow
from edgectl.workflows.device_report import FORMAT, FORMAT_VERSION, Document

JSON_MEMBER, PAGE_MEMBER = "report.json", "report.html"

_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_MAX_BYTES = 64 << 20
_MAX_DEPTH = 12
_MAX_PROGRAMS = 100


def pack_report(document: Document, page: str) -> bytes:
    """The file's bytes; the same report gives the same."""
    members = {JSON_MEMBER: report_json(document), PAGE_MEMBER: page.encode()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = 3, _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=6)
    return stream.getvalue()


def report_json(document: Document) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def read_report(path: Path) -> Document:
    """The report in a file that `pack_report` made, here or elsewhere.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", expected="a report of `edgectl device report`", action="correct the path"
        ) from error
    return unpack_report(data, source=str(path))


def unpack_report(data: bytes, *, source: str) -> Document:
    """The report in `data`; `source` names it where it is refused. Raises UsageError."""
    if len(data) > _MAX_BYTES:
        raise _no_report(source, f"is longer than {_MAX_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(JSON_MEMBER) as member:
            text = member.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise _no_report(source, f"holds a report of more than {_MAX_BYTES} bytes")
        document: Any = json.loads(text)
    except (ValueError, KeyError, RecursionError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise _no_report(source, "is no zip with a report in it") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or compressed in another way
        raise _no_report(source, "is packed in another way") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _no_report(source, "holds something else")
    if document.get("version") != FORMAT_VERSION:
        raise _no_report(source, f"is a report of version {str(document.get('version'))[:20]}")
    _check_form(document, source)
    return document


def _check_form(document: Document, source: str) -> None:
    """What is walked through is there and of its kind; each figure is looked at where it is shown."""
    programs = document.get("programs")
    if not is_shallow(document, _MAX_DEPTH) or not isinstance(programs, list) or len(programs) > _MAX_PROGRAMS:
        raise _no_report(source, "has no list of programs")
    parts = [document.get(name) for name in ("device", "start", "idle", "swaps", "after")]
    if not all(isinstance(part, dict) for part in [*parts, *programs]):
        raise _no_report(source, "lacks a part")


def _no_report(source: str, seen: str) -> UsageError:
    return UsageError(
        f"{source} {seen}",
        expected=f"what `edgectl device report` writes, version {FORMAT_VERSION}",
        action="make one with: edgectl device report NAME",
    )
