# SPDX-License-Identifier: Apache-2.0
"""A report in rows of text, for the terminal and its page. Pure; it may come from anywhere, and lack anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgectl.lab.circumstances import found_at, in_words
from edgectl.workflows.device_report import Document

_MEBI = 1 << 20
_MOST_OPERATORS = 12
_LARGEST = 1e30  # of a whole number too, which may be more than a float holds


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: what it is about, its columns (">" aligns to the right), its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def report_tables(document: Document) -> tuple[Rows, ...]:
    """Everything but single samples."""
    return (
        Rows("board", ("fact", "value"), tuple(_facts(document))),
        Rows("programs", _PROGRAM_COLUMNS, tuple(_program_rows(document))),
        Rows("at a fixed rate", _PERIODIC_COLUMNS, tuple(_periodic_rows(document))),
        Rows("deploy and memory", _DEPLOY_COLUMNS, tuple(_deploy_rows(document))),
        *(
            Rows(f"{_name(program)}: where the time goes", ("operator", "where", ">calls", ">us", ">share"), rows)
            for program in document["programs"]
            if (rows := tuple(_operator_rows(program)))
        ),
        Rows("what was not measured", ("step", "why"), tuple(_failures(document))),
    )


def report_title(document: Document) -> str:
    """One line: the board and the day."""
    device = document["device"]
    emulated = f", emulated by {in_words(device['emulator'])}" if device.get("emulator") else ""
    return f"{in_words(device.get('cpu_model'))}{emulated}, {in_words(document.get('taken'))}"


def _facts(document: Document) -> Iterator[tuple[str, str]]:
    device = document["device"]
    yield "processor", in_words(device.get("cpu_model"))
    yield "cores", in_words(device.get("cpu_count"))
    yield "memory", _size(device.get("memory_bytes"))
    yield "kernel", in_words(device.get("kernel"))
    yield "agent", in_words(device.get("agent_version"))
    yield "runtime", f"{in_words(device.get('runtime'))}, kernels for {in_words(device.get('core'))}"
    if device.get("emulator"):
        yield "emulated by", in_words(device["emulator"])
    yield "agent's start", _seconds(found_at(document, ("start", "cold_start_seconds")))
    for moment, words in (("idle", "at rest"), ("after", "after the measurements")):
        metrics = found_at(document, (moment, "metrics"))
        for name, label in _METRICS.items():
            reading = found_at(metrics, (name,)) if isinstance(metrics, dict) else None
            if reading is not None:
                yield f"{label} {words}", _metric(reading)


_METRICS = {
    "agent.pss": "agent's memory (PSS)",
    "agent.rss": "agent's memory (RSS)",
    "agent.cpu": "agent's share of a core",
    "board.memory.available": "memory available",
    "board.temperature": "temperature",
    "board.throttled": "throttle flags",
}

_PROGRAM_COLUMNS = (
    "program", "threads", ">p50", ">p90", ">p95", "unit", ">to the reference", ">load ms", ">resident MiB", "quality",
)  # fmt: skip


def _program_rows(document: Document) -> Iterator[tuple[str, ...]]:
    for program in document["programs"]:
        for key in ("measure", "cores"):
            measured = program.get(key)
            if not isinstance(measured, dict) or "p50" not in measured:
                continue
            resident = found_at(measured, ("memory", "peak_rss_bytes"))
            yield (
                _name(program),
                in_words(found_at(measured, ("provenance", "threads"))),
                *(_figure(measured.get(quantile)) for quantile in ("p50", "p90", "p95")),
                in_words(measured.get("unit")),
                _figure(found_at(measured, ("reference", "ratio"))),
                _figure(measured.get("load_ms")),
                _figure(resident, per=_MEBI),
                in_words(measured.get("quality_reason") or measured.get("quality")),
            )


_PERIODIC_COLUMNS = ("program", ">a second", ">missed", ">of", ">response p50 ms", ">p99 ms", ">max ms", ">jitter ms")


def _periodic_rows(document: Document) -> Iterator[tuple[str, ...]]:
    for program in document["programs"]:
        run = program.get("periodic")
        if isinstance(run, dict) and "releases" in run:
            yield (
                _name(program),
                _figure(run.get("rate_hz")),
                in_words(run.get("missed")),
                in_words(run.get("releases")),
                *(_figure(found_at(run, ("response", name))) for name in ("p50", "p99", "max")),
                _figure(run.get("jitter_ms")),
            )


_DEPLOY_COLUMNS = (
    "program",
    ">bundle KiB",
    ">sent in s",
    ">active after s",
    ">golden error",
    ">runner MiB",
    ">own MiB",
)


def _deploy_rows(document: Document) -> Iterator[tuple[str, ...]]:
    for program in document["programs"]:
        deployed = program.get("deploy")
        if not isinstance(deployed, dict) or "activate_seconds" not in deployed:
            continue
        serving = [found_at(deployed, ("serving", name, "value")) for name in ("runner.rss", "runner.anonymous")]
        yield (
            _name(program),
            _figure(deployed.get("bundle_bytes"), per=1024),
            "was there" if deployed.get("already_present") is True else _figure(deployed.get("send_seconds")),
            _figure(deployed.get("activate_seconds")),
            _figure(deployed.get("golden_max_abs_error")),
            *(_figure(value, per=_MEBI) for value in serving),
        )
    seconds = found_at(document, ("swaps", "seconds"))
    if isinstance(seconds, list) and seconds and all(map(_is_number, seconds)):
        ordered = sorted(seconds)
        yield "a swap, median", "", "", _figure(ordered[len(ordered) // 2]), "", "", ""
        yield "a swap, slowest", "", "", _figure(ordered[-1]), "", "", ""


def _operator_rows(program: Document) -> Iterator[tuple[str, ...]]:
    operators = found_at(program, ("profile", "operators"))
    for row in operators[:_MOST_OPERATORS] if isinstance(operators, list) else ():
        if isinstance(row, dict):
            share = row.get("share")
            yield (
                in_words(row.get("operator")),
                in_words(row.get("place")),
                in_words(row.get("calls")),
                _figure(row.get("p50_us")),
                f"{share:.1%}" if _is_number(share) else "-",
            )


def _failures(document: Document) -> Iterator[tuple[str, str]]:
    parts = [(name, document[name]) for name in ("start", "idle", "swaps", "after")]
    parts += [(f"{_name(program)}: {key}", part) for program in document["programs"] for key, part in program.items()]
    for name, part in parts:
        seen = found_at(part, ("error", "seen")) if isinstance(part, dict) else None
        if seen is not None:
            action = found_at(part, ("error", "action"))
            yield in_words(name), f"{in_words(seen)}{f'; {in_words(action)}' if action else ''}"


def _name(program: Document) -> str:
    return in_words(program.get("name"))


def _metric(reading: Any) -> str:
    value, unit = found_at(reading, ("value",)), found_at(reading, ("unit",))
    if not _is_number(value):
        return in_words(reading)
    return {
        "bytes": lambda: _size(value),
        "percent": lambda: f"{value:.2f} %",
        "celsius": lambda: f"{value:.1f} degrees Celsius",
        "flags": lambda: hex(int(value)),
    }.get(str(unit), lambda: f"{value:g} {in_words(unit)}")()


def _seconds(value: Any) -> str:
    return f"{value:.2f} s" if _is_number(value) else in_words(value)


def _size(value: Any) -> str:
    return f"{value / _MEBI:,.1f} MiB" if _is_number(value) else in_words(value)


def _figure(value: Any, *, per: float = 1.0) -> str:
    if not _is_number(value):
        return "-"
    scaled = value / per
    return f"{scaled:,.0f}" if scaled >= 10_000 else f"{scaled:#.4g}".rstrip(".")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST  # NaN is not
