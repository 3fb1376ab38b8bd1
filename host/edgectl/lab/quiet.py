# SPDX-License-Identifier: Apache-2.0
"""Quiet for a timed job: where the device is this machine, edgectl's own training and lowering pause meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from edgectl.config import Paths
from edgectl.cores import CoreLease, Holder
from edgectl.fleet.inventory import LOCAL_DEVICE

TimedJob = Callable[[], AbstractContextManager[None]]
"""What a timed job on some device is run within."""


@contextmanager
def timed_job(device: str, paths: Paths, on_wait: Callable[[str], object]) -> Iterator[None]:
    """Within it a job on `device` is timed; on "local" it has the cores alone, elsewhere this does nothing.

    `on_wait` gets a line for each process that is waited for.

    Raises:
        UsageError: edgectl's state folder cannot be written.
        RuntimeError: this thread is itself within work that should pause, or within a timed job.
    """
    if device != LOCAL_DEVICE:
        yield
        return
    with CoreLease(paths.state).timed(lambda holder: on_wait(waiting_text(holder))):
        yield


def waiting_text(holder: Holder) -> str:
    """What a timed job waits for, in one line."""
    return f"waiting for the {holder.doing} of process {holder.pid} to {'end' if holder.timed else 'pause'}"
