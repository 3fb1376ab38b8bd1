# SPDX-License-Identifier: Apache-2.0
"""What torch, its companions and their native code say about their own internals goes to a file, not into the progress.

They write to descriptor 2 behind Python's back, so the descriptor itself is redirected; progress gets a copy of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import UnsupportedOperation
from pathlib import Path
from typing import TextIO

LOG_FILE = "libraries.log"


@contextmanager
def library_log(folder: Path, *, environ: Mapping[str, str]) -> Iterator[TextIO]:
    """Redirect stderr to `folder`/libraries.log for the length of the block; yields a stream on the real one.

    With EDGECTL_DEBUG=1, or where stderr is no file of the system, nothing is redirected.
    """
    try:
        stderr = sys.stderr.fileno()
    except (UnsupportedOperation, AttributeError):
        yield sys.stderr
        return
    if environ.get("EDGECTL_DEBUG") == "1":
        yield sys.stderr
        return
    folder.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(stderr)
    with (folder / LOG_FILE).open("wb") as log, os.fdopen(kept, "w", errors="backslashreplace") as stream:
        os.dup2(log.fileno(), stderr)
        try:
            yield stream
        finally:
            stream.flush()
            sys.stderr.flush()
            os.dup2(kept, stderr)
