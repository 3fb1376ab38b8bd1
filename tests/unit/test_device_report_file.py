# SPDX-License-Identifier: Apache-2.0
"""A report's file and what is shown of it; it may come from anywhere."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from edgectl.workflows.device_report import FORMAT, FORMAT_VERSION
from edgectl.workflows.device_report_file import pack_report, unpack_report
from edgectl.workflows.device_report_page import report_page
from edgectl.workflows.device_report_rows import report_tables, report_title
from edgectl_protos.errors import UsageError

_MEASURED = {
    "unit": "ms", "p50": 8.25, "p90": 8.5, "p95": None, "quality": "ok", "load_ms": 40.0,
    "reference": {"ratio": 1.5}, "memory": {"peak_rss_bytes": 9 << 20}, "provenance": {"threads": 1},
}  # fmt: skip
_PROGRAM = {
    "name": "cnn-int8",
    "deploy": {"bundle_bytes": 2048, "send_seconds": 0.5, "activate_seconds": 0.25, "serving": {}},
    "measure": _MEASURED,
    "periodic": {
        "releases": 300,
        "missed": 2,
        "rate_hz": 30.0,
        "response": {"p50": 9.0, "max": 30.0},
        "jitter_ms": None,
    },
    "profile": {
        "operators": [{"operator": "Convolution", "place": "XnnpackBackend", "calls": 3, "p50_us": 12.5, "share": 0.75}]
    },
}
_REPORT: dict[str, Any] = {
    "format": FORMAT,
    "version": FORMAT_VERSION,
    "taken": "2026-11-25",
    "device": {
        "cpu_model": "Raspberry Pi 4 Model B Rev 1.4",
        "cpu_count": 4,
        "memory_bytes": 4 << 30,
        "emulator": None,
    },
    "programs": [
        _PROGRAM,
        {"name": "mobile", "measure": {"error": {"seen": "crashed: SIGILL", "action": "report it"}}},
    ],
    "start": {"cold_start_seconds": {"unavailable": "the agent ran already"}},
    "idle": {
        "metrics": {
            "agent.pss": {"unit": "bytes", "value": 31 << 20},
            "board.throttled": {"unit": "flags", "value": 5.0},
        }
    },
    "swaps": {"seconds": [0.5, 0.25, 0.75]},
    "after": {},
}


def _shown(report: dict[str, Any]) -> str:
    return "\n".join(" ".join(row) for table in report_tables(report) for row in table.rows)


def test_a_report_comes_back_as_it_was_and_the_same_one_has_the_same_bytes() -> None:
    data = pack_report(_REPORT, report_page(_REPORT))
    assert unpack_report(data, source="x") == _REPORT
    assert pack_report(json.loads(json.dumps(_REPORT)), report_page(_REPORT)) == data


def test_what_was_measured_is_shown_and_what_was_not_says_why() -> None:
    assert report_title(_REPORT) == "Raspberry Pi 4 Model B Rev 1.4, 2026-11-25"
    text = _shown(_REPORT)
    assert "cnn-int8 1 8.250 8.500 - ms 1.500 40.00 9.000 ok" in text
    assert "cnn-int8 30.00 2 300 9.000 - 30.00 -" in text
    assert "Convolution XnnpackBackend 3 12.50 75.0%" in text
    assert "mobile: measure crashed: SIGILL; report it" in text
    assert "agent's memory (PSS) at rest 31.0 MiB" in text
    assert "throttle flags at rest 0x5" in text
    assert "agent's start unavailable: the agent ran already" in text
    assert "a swap, median   0.5000" in text


def test_an_emulated_board_is_called_emulated() -> None:
    report = _REPORT | {"device": _REPORT["device"] | {"emulator": "qemu-user cortex-a72"}}
    assert "emulated by qemu-user cortex-a72" in report_title(report)
    assert "emulated by qemu-user cortex-a72" in report_page(report)


def test_a_pages_texts_are_escaped_and_nothing_is_loaded() -> None:
    report = _REPORT | {"device": {"cpu_model": "<script>alert(1)</script>\x1b[31m", "kernel": "a&b"}}
    page = report_page(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a&amp;b" in page
    assert "\x1b" not in page
    assert "http" not in page


def _zip(*members: tuple[str, bytes], **options: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def _changed(**changes: Any) -> bytes:
    return _zip(("report.json", json.dumps(_REPORT | changes).encode()))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no zip"),
        (b"PK\x03\x04 and then nothing", "no zip"),
        (_zip(("other.json", b"{}")), "no zip with a report"),
        (_zip(("report.json", b"{")), "no zip with a report"),
        (_zip(("report.json", b"[" * 100_000)), "no zip with a report"),
        (_zip(("report.json", b"[]")), "something else"),
        (_changed(format="edgectl profile"), "something else"),
        (_changed(version=2), "version 2"),
        (_changed(programs={}), "no list of programs"),
        (_changed(programs=[1]), "lacks a part"),
        (_changed(device=None), "lacks a part"),
        (_changed(programs=[{}] * 101), "no list of programs"),
        (_changed(after=json.loads("[" * 50 + "]" * 50)), "no list of programs"),
    ],
)
def test_a_file_that_is_no_report_is_one_clear_refusal(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        unpack_report(data, source="x.zip")


def test_a_report_that_unpacks_to_more_than_it_may_is_refused() -> None:
    bomb = _zip(("report.json", b" " * ((64 << 20) + 1)))
    assert len(bomb) < 1 << 20
    with pytest.raises(UsageError, match="holds a report of more than"):
        unpack_report(bomb, source="x.zip")


def test_figures_of_the_wrong_kind_are_shown_as_none() -> None:
    odd = {"p50": "fast", "p90": True, "memory": 5, "reference": [], "quality": {"a": 1}, "provenance": None}
    program = {"name": 7, "measure": odd, "periodic": {"releases": "x", "response": 3}, "profile": {"operators": {}},
               "deploy": {"activate_seconds": None, "serving": []}}  # fmt: skip
    report = _REPORT | {"programs": [program], "swaps": {"seconds": ["x"]}, "idle": {"metrics": []}}
    report |= {"device": _REPORT["device"] | {"memory_bytes": 10**400}, "start": {"cold_start_seconds": float("nan")}}
    assert "7 not given - - - not given - - -" in _shown(report)
    assert report_page(report)
