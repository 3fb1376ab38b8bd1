# SPDX-License-Identifier: Apache-2.0
"""`edgectl telemetry`: what devices report, over gRPC from one agent or over MQTT from a broker."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from edgectl_protos.errors import DeadlineError, EdgectlError, UsageError

from edgectl.cli.groups import NamedGroup
from edgectl.cli.options import complete_device, current_paths, on_option, output_option
from edgectl.cli.output import Output

if TYPE_CHECKING:
    from edgectl.fleet.telemetry_tail import BrokerAccess, TailEvent
    from edgectl.lab.client import AgentClient

_POLL_SECONDS = 0.1
_QUEUE_RECORDS = 256
_LEAVE_SECONDS = 5.0


@click.group(cls=NamedGroup)
def telemetry() -> None:
    """Read what devices report."""


@telemetry.command("tail")
@on_option(required=False)
@click.option("--mqtt", "broker", metavar="HOST:PORT", help="Read from this MQTT broker.")
@click.option("--mqtt-ca", "authority", type=click.Path(path_type=Path), help="PEM file of the broker's authority.")
@click.option("--mqtt-user", "user", metavar="NAME", help="Account at the broker.")
@click.option("--mqtt-password-file", "password_file", type=click.Path(path_type=Path), help="Its password.")
@click.option(
    "--device", "device_filter", metavar="NAME", shell_complete=complete_device, help="With --mqtt: only this device."
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many records; all else is not counted.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this long.")
@output_option
def tail(
    *,
    device_name: str | None,
    broker: str | None,
    authority: Path | None,
    user: str | None,
    password_file: Path | None,
    device_filter: str | None,
    count: int | None,
    seconds: float | None,
    output: Output,
) -> None:
    """Print records as they arrive, one line each, until --count, --seconds or Ctrl-C.

    A broker also passes on which devices are online, and the blocks of a measurement that runs: neither is counted.
    A broker that is not on this machine is spoken to over TLS only: give the authority behind its certificate.
    With both limits, fewer records in that time than --count is a timeout (exit code 3).
    """
    if (device_name is None) == (broker is None):
        raise UsageError("neither or both of --on and --mqtt", expected="one of them", action="give --on DEVICE")
    only_broker = {
        "--device": device_filter,
        "--mqtt-ca": authority,
        "--mqtt-user": user,
        "--mqtt-password-file": password_file,
    }
    for option, value in only_broker.items():
        if device_name is not None and value is not None:
            raise UsageError(f"{option} with --on", expected=f"{option} only with --mqtt", action=f"leave {option} out")
    with _stop_after(seconds) as stop:
        if device_name is not None:
            events = _from_agent(device_name, stop)
        else:
            from edgectl.fleet.telemetry_tail import BrokerAccess

            access = BrokerAccess(user=user, password=_password(password_file), authority=authority)
            events = _from_broker(broker or "", device_filter, access, stop)
        with closing(events):  # stops the local agent now, not when the generator is collected
            records = _print_events(events, count, output)
    if count is not None and records < count:
        raise DeadlineError(
            f"{records} records in {seconds:g} s"
            if seconds is not None
            else f"the stream ended after {records} records",
            expected=f"{count}",
            action="give it longer, or check that the device reports",
        )


def _print_events(events: Iterator[TailEvent], count: int | None, output: Output) -> int:
    from edgectl_protos.metrics import TelemetryRecord

    from edgectl.cli.telemetry_text import event_document, event_text

    records = 0
    for event in events:
        output.record(event_document(event), event_text(event))
        records += isinstance(event, TelemetryRecord)
        if records == count:
            break
    return records


@contextmanager
def _stop_after(seconds: float | None) -> Iterator[threading.Event]:
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer is not None:
            timer.cancel()


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", expected="a file with the password", action="correct the path") from error


def _from_broker(
    broker: str, device: str | None, access: BrokerAccess, stop: threading.Event
) -> Generator[TailEvent, None, None]:
    from edgectl_protos.address import parse_address

    from edgectl.fleet.telemetry_tail import tail_mqtt

    where = parse_address(broker if broker.rpartition(":")[2].isdigit() else f"{broker}:1883")
    with closing(tail_mqtt(where.host, where.port, stop=stop, device=device, access=access)) as messages:
        for _topic, event in messages:
            yield event


def _from_agent(device_name: str, stop: threading.Event) -> Generator[TailEvent, None, None]:
    """Records of one agent, read by a thread of its own so that a silent agent does not outlast `stop`.

    Closing the iterator closes the connection, which ends the thread.
    """
    from edgectl.lab.devices import open_device

    inbox = _Inbox()
    reader: threading.Thread | None = None
    try:
        with open_device(device_name, paths=current_paths()) as client:
            reader = threading.Thread(target=_read_records, args=(client, inbox), name="edgectl-records", daemon=True)
            reader.start()
            try:
                yield from inbox.until(stop)
            finally:
                inbox.left.set()
    finally:
        if reader is not None:
            reader.join(_LEAVE_SECONDS)


class _Inbox:
    """A bounded queue between the reading thread and this one; None is the stream's end.

    While it is full the thread waits, so that the agent is held back, which drops its oldest records.
    """

    def __init__(self) -> None:
        self.left = threading.Event()
        self._entries: queue.Queue[TailEvent | EdgectlError | None] = queue.Queue(_QUEUE_RECORDS)

    def put(self, entry: TailEvent | EdgectlError | None) -> bool:
        """Wait for room; False when nobody takes entries any more."""
        while not self.left.is_set():
            try:
                self._entries.put(entry, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def until(self, stop: threading.Event) -> Iterator[TailEvent]:
        """Entries until `stop` or the end; raises the error that the stream ended with."""
        while not stop.is_set():
            try:
                entry = self._entries.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if entry is None:
                return
            if isinstance(entry, EdgectlError):
                raise entry
            yield entry


def _read_records(client: AgentClient, inbox: _Inbox) -> None:
    try:
        for record in client.telemetry():
            if not inbox.put(record):
                return
        inbox.put(None)
    except EdgectlError as error:
        inbox.put(error)
