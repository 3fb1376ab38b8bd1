# SPDX-License-Identifier: Apache-2.0
"""Listens to one agent's telemetry on both channels while the demo works, and keeps what arrived on each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgectl_protos.errors import EdgectlError
from edgectl_protos.metrics import TelemetryRecord, Unavailable

Source = Callable[[threading.Event], Iterator[TelemetryRecord]]
"""Yields records until the event is set."""


@dataclass(slots=True)
class Channel:
    """What one channel brought; `failure` says why it ended early, where it did."""

    records: list[TelemetryRecord] = field(default_factory=list)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """The records by channel, in order of arrival."""

    channels: dict[str, Channel]

    def series(self, name: str, *, channel: str, model: str | None = None) -> tuple[tuple[float, float], ...]:
        """(seconds since the first record, reading) of one metric, where it was available."""
        records = self.channels[channel].records
        points = []
        for record in records:
            reading = record.reading(name, model=model)
            if isinstance(reading, float):
                points.append(((record.monotonic_ns - records[0].monotonic_ns) / 1e9, reading))
        return tuple(points)

    def never_available(self, *, channel: str) -> dict[str, str]:
        """Metrics that no record gave a value for, with the last reason."""
        reasons: dict[str, str] = {}
        seen: set[str] = set()
        for record in self.channels[channel].records:
            for metric in record.metrics:
                if isinstance(metric.reading, Unavailable):
                    reasons[metric.name] = metric.reading.reason
                else:
                    seen.add(metric.name)
        return {name: reason for name, reason in sorted(reasons.items()) if name not in seen}


@contextmanager
def witness(sources: dict[str, Source]) -> Iterator[Witness]:
    """Listen on every source in a thread of its own until the block ends."""
    stop = threading.Event()
    channels = {name: Channel() for name in sources}

    def listen(source: Source, channel: Channel) -> None:
        try:
            for record in source(stop):
                channel.records.append(record)
        except EdgectlError as error:
            if not stop.is_set():
                channel.failure = error.message

    threads = [
        threading.Thread(target=listen, args=(source, channels[name]), name=f"telemetry-{name}", daemon=True)
        for name, source in sources.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield Witness(channels)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=5)
