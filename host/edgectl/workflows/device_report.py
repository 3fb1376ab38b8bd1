# SPDX-License-Identifier: Apache-2.0
"""The whole set of measurements on one board, step by step: what is done is kept, so that a broken-off report goes on.

A step that the device refuses (an emulated board gives no times) is a result; one that the connection breaks is not,
and ends the report. Nothing in it names the device, its host, its user or an address.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from edgectl_protos.errors import (
    AuthenticationError,
    EdgectlError,
    ProtocolError,
    UnreachableError,
)
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable

import edgectl
from edgectl.fleet.private_files import make_private_folder, write_private
from edgectl.lab.client import AgentClient
from edgectl.lab.device_values import DeviceInfo
from edgectl.lab.periodic import PeriodicLoad
from edgectl.lab.runner_choice import RunnerChoice
from edgectl.lab.units import choose_unit, protocol_for
from edgectl.lower.reference_programs import ReferenceBundle

FORMAT, FORMAT_VERSION = "edgectl device report", 1

Document = dict[str, Any]
"""Plain JSON."""

_SWAPS = 10
_IDLE_RECORDS = 4
_PROFILE_RUNS = 20
_BROKEN = (UnreachableError, AuthenticationError, ProtocolError)
_MEASUREMENT_KEYS = (
    "unit", "samples", "block_sizes", "p50", "p90", "p95", "p99", "p50_interval", "reference", "memory",
    "load_anonymous_bytes", "load_ms", "loads_ms", "quality", "quality_reason", "attempts", "protocol",
)  # fmt: skip
_PROFILE_KEYS = ("unit", "runs", "threads", "execute_p50_us", "operators", "calls")
_PERIODIC_KEYS = (
    "unit", "rate_hz", "seconds", "deadline_ms", "releases", "executed", "skipped", "missed", "missed_share",
    "response", "execute", "lateness", "jitter_ms", "longest_gap_ms", "memory", "load_ms",
)  # fmt: skip
_PROVENANCE_KEYS = ("threads", "cpus", "warmup", "counts", "undelegated", "dropped_blocks", "evidence")


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """`protocol` is the measurements' ("standard"), `periodic_seconds` how long each program is driven."""

    protocol: str = "standard"
    periodic_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """Something to measure, where it stands in the report, and about how many seconds it takes."""

    key: str
    title: str
    seconds: float
    measure: Callable[[], Document]


class StepObserver(Protocol):
    """Hears of a report that is being made."""

    def begins(self, steps: Sequence[Step], done: frozenset[str]) -> None:
        """All steps, and the keys of those that were done before."""

    def starts(self, step: Step) -> None: ...

    def ends(self, step: Step, result: Document) -> None: ...


class Kept:
    """What is done of a report, in a file of the user's; it belongs to one board, set of programs and version."""

    def __init__(self, path: Path, header: Document) -> None:
        self._path = path
        self._header = header
        self._results: dict[str, Document] = {}
        try:
            document = json.loads(path.read_bytes())
            if document["header"] == header:
                self._results = dict(document["results"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or of another time: everything is measured

    @property
    def results(self) -> dict[str, Document]:
        return dict(self._results)

    def keep(self, key: str, result: Document) -> None:
        self._results[key] = result
        make_private_folder(self._path.parent)
        write_private(self._path, json.dumps({"header": self._header, "results": self._results}).encode())

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Subject:
    """A connected device; `timed` is entered around what is timed there, `start_seconds` is what its start took."""

    client: AgentClient
    timed: Callable[[], AbstractContextManager[None]]
    start_seconds: float | None = None


def header_of(info: DeviceInfo, bundles: Sequence[ReferenceBundle], options: ReportOptions) -> Document:
    """What a report is of: where it differs, nothing of an earlier one can be taken over."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "host_version": edgectl.__version__,
        "device": device_facts(info),
        "protocol": options.protocol,
        "periodic_seconds": options.periodic_seconds,
        "programs": {bundle.program.name: bundle.info.digest for bundle in bundles},
    }


def device_facts(info: DeviceInfo) -> Document:
    """What the board and its agent are; neither its name nor anything that tells it from another of its kind."""
    facts = info.document()
    del facts["boot_id"]
    return facts | {"delegates": list(info.delegates)}


def measure_report(
    subject: Subject,
    bundles: Sequence[ReferenceBundle],
    options: ReportOptions,
    kept: Kept,
    *,
    taken: str,
    observer: StepObserver,
) -> Document:
    """The report as JSON; `taken` is its date. Steps that `kept` has are not measured again.

    Raises:
        UnreachableError, AuthenticationError, ProtocolError: the device is gone; what was measured is kept.
    """
    steps = tuple(_steps(subject, bundles, options))
    done = kept.results
    observer.begins(steps, frozenset(done))
    for step in steps:
        if step.key in done:
            continue
        observer.starts(step)
        result = _outcome(step, subject.client)
        kept.keep(step.key, result)
        observer.ends(step, result)
    return _assembled(header_of(subject.client.info, bundles, options), kept.results, bundles, taken)


def _outcome(step: Step, client: AgentClient) -> Document:
    try:
        return step.measure()
    except _BROKEN:
        raise
    except EdgectlError as error:
        given = {"code": error.code.value, "seen": error.seen, "expected": error.expected, "action": error.action}
        return {"error": {key: _nameless(text, client) for key, text in given.items()}}


def _nameless(text: str, client: AgentClient) -> str:
    """Error messages name the device, and may name where it is."""
    for private in (client.address, client.address.rpartition(":")[0], client.info.name):
        text = re.sub(rf"(?<![\w.-]){re.escape(private)}(?![\w-])", "the device", text)
    return text


def _steps(subject: Subject, bundles: Sequence[ReferenceBundle], options: ReportOptions) -> Iterator[Step]:
    client = subject.client
    yield Step("start", "start of the agent", 0.1, lambda: _start(subject))
    yield Step("idle", "the agent at rest", _IDLE_RECORDS + 1.0, lambda: _rest(client))
    for bundle in bundles:
        yield from _program_steps(subject, bundle, options)
    first, last = bundles[0], bundles[-1]
    yield Step("swaps", f"{_SWAPS} swaps of a model", _SWAPS * 0.5, lambda: _swaps(client, (first, last)))
    yield Step("after", "the agent after all that", _IDLE_RECORDS + 1.0, lambda: _rest(client))


def _program_steps(subject: Subject, bundle: ReferenceBundle, options: ReportOptions) -> Iterator[Step]:
    client, program, digest = subject.client, bundle.program, bundle.info.digest
    name = bundle.info.manifest.name
    load = PeriodicLoad(
        rate_hz=program.rate_hz, seconds=options.periodic_seconds, deadline_ms=1_000.0 / program.rate_hz
    )

    def measured(threads: int) -> Document:
        client.put_bundle(bundle.path)  # of a report that goes on, the board may have lost it
        unit = choose_unit(client.info, None)
        protocol = protocol_for(unit, options.protocol if unit == "ms" else None, default="standard")
        choice = RunnerChoice(threads=threads, allow_undelegated=True)
        with subject.timed():
            return _picked(client.benchmark(name, digest, protocol, choice=choice).document(), _MEASUREMENT_KEYS)

    def profiled() -> Document:
        client.put_bundle(bundle.path)
        with subject.timed():
            return _picked(client.profile(name, digest, runs=_PROFILE_RUNS).document(), _PROFILE_KEYS)

    def driven() -> Document:
        client.put_bundle(bundle.path)
        with subject.timed():
            run = client.run_periodic(name, digest, load, choice=RunnerChoice(allow_undelegated=True))
        return _picked(run.document(), _PERIODIC_KEYS)

    seconds = 10.0 if options.protocol == "standard" else 2.0
    cores = client.info.cpu_count
    yield Step(f"{program.name}/deploy", f"{program.name}: deploy", 2.0, lambda: _deployed(client, bundle))
    yield Step(f"{program.name}/measure", f"{program.name}: measure", seconds, lambda: measured(1))
    if cores > 1 and not client.info.emulator:
        yield Step(f"{program.name}/cores", f"{program.name}: on {cores} cores", seconds, lambda: measured(cores))
    yield Step(f"{program.name}/profile", f"{program.name}: profile", 2.0, profiled)
    yield Step(
        f"{program.name}/periodic",
        f"{program.name}: {program.rate_hz:g} a second",
        options.periodic_seconds + 1.0,
        driven,
    )


def _start(subject: Subject) -> Document:
    if subject.start_seconds is None:
        return {"cold_start_seconds": {"unavailable": "the agent ran already"}}
    return {"cold_start_seconds": _duration(subject.client, subject.start_seconds)}


def _duration(client: AgentClient, seconds: float) -> float | Document:
    """A time on a real board; an emulator's says nothing of the board."""
    emulator = client.info.emulator
    return {"unavailable": f"{emulator} emulates the board: its times are not the board's"} if emulator else seconds


def _rest(client: AgentClient) -> Document:
    """The last of some records of telemetry: the first has no shares of the processor yet."""
    metrics = _metrics(_record(client, number=_IDLE_RECORDS), model="")
    if client.info.emulator:
        # Shares of time are times.
        metrics = {name: reading for name, reading in metrics.items() if reading["unit"] != "percent"}
    return {"metrics": metrics}


def _record(client: AgentClient, *, number: int = 1) -> TelemetryRecord:
    """The last of so many records, as the agent takes them."""
    return next(islice(client.telemetry(), number - 1, None))


def _deployed(client: AgentClient, bundle: ReferenceBundle) -> Document:
    """Seconds as this host sees them, the network's part included, and the memory of the runner that serves it."""
    started = time.monotonic()
    installed = client.put_bundle(bundle.path)
    sent = time.monotonic()
    activation = client.activate(installed.name, installed.digest)
    return {
        "bundle_bytes": bundle.path.stat().st_size,
        "already_present": installed.already_present,
        "send_seconds": _duration(client, sent - started),
        "activate_seconds": _duration(client, time.monotonic() - sent),
        "golden_max_abs_error": activation.golden_max_abs_error,
        "serving": _metrics(_record(client), model=installed.name),
    }


def _swaps(client: AgentClient, pair: tuple[ReferenceBundle, ReferenceBundle]) -> Document:
    """Both are on the device; each activation runs the golden cases and starts another runner."""
    if client.info.emulator:
        return {"seconds": _duration(client, 0.0)}
    for bundle in pair:
        client.put_bundle(bundle.path)
    seconds = []
    for turn in range(_SWAPS):
        chosen = pair[turn % 2].info
        started = time.monotonic()
        client.activate(chosen.manifest.name, chosen.digest)
        seconds.append(time.monotonic() - started)
    return {"seconds": seconds, "between": [bundle.program.name for bundle in pair]}


def _metrics(record: TelemetryRecord, *, model: str) -> Document:
    """Readings by their names; those of other models are the user's own matter."""
    found = [metric for metric in record.metrics if metric.model == model]
    return {metric.name: _reading(metric) for metric in found}


def _reading(metric: Metric) -> Document:
    if isinstance(metric.reading, Unavailable):
        return {"unit": metric.unit, "unavailable": metric.reading.reason}
    return {"unit": metric.unit, "value": metric.reading}


def _picked(document: Document, keys: Sequence[str]) -> Document:
    """Only what is known to name nobody: the rest of it names the device."""
    chosen = {key: document[key] for key in keys if key in document}
    provenance = document.get("provenance", {})
    return chosen | {"provenance": {key: provenance[key] for key in _PROVENANCE_KEYS if key in provenance}}


def _assembled(
    header: Document, results: dict[str, Document], bundles: Sequence[ReferenceBundle], taken: str
) -> Document:
    programs = [
        {
            "name": bundle.program.name,
            "description": bundle.program.description,
            "digest": bundle.info.digest,
            **{
                key.partition("/")[2]: result
                for key, result in results.items()
                if key.partition("/")[0] == bundle.program.name
            },
        }
        for bundle in bundles
    ]
    whole = {key: results[key] for key in ("start", "idle", "swaps", "after")}
    return {**header, "taken": taken, "programs": programs, **whole}
