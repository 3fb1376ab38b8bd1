# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from edgectl.cli.telemetry_text import event_document, event_text
from edgectl.fleet.payloads import DeviceStatus, MeasurementBlock
from edgectl.fleet.telemetry_tail import Malformed
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable

RECORD = TelemetryRecord(
    device="pi4",
    boot_id="b1",
    sequence=12,
    wall_ns=1_700_000_000_000_000_000,
    monotonic_ns=5,
    metrics=(
        Metric("agent.rss", "bytes", 25 * 1024 * 1024),
        Metric("board.cpu", "percent", 12.5),
        Metric("inference.latency.p50", "us", 123.4, model="digits"),
        Metric("board.temperature", "celsius", Unavailable("no thermal zone")),
    ),
)


def test_record_is_one_line_with_what_is_unavailable_last() -> None:
    assert event_text(RECORD) == (
        "2023-11-14T22:13:20Z pi4 #12 agent.rss 25.0 MiB, board.cpu 12.5 %, inference.latency.p50[digits] 123.4 us"
        "; unavailable: board.temperature"
    )


def test_unavailable_reading_has_a_reason_and_no_value() -> None:
    metrics = event_document(RECORD)["metrics"]
    assert metrics[0] == {"name": "agent.rss", "unit": "bytes", "model": "", "value": 25 * 1024 * 1024}
    assert metrics[3] == {
        "name": "board.temperature",
        "unit": "celsius",
        "model": "",
        "unavailable": "no thermal zone",
    }


@pytest.mark.parametrize(("online", "words"), [(True, "pi4 online, agent 0.1.0"), (False, "pi4 offline")])
def test_status_says_online_or_offline(online: int, words: str) -> None:
    status = DeviceStatus(device="pi4", online=bool(online), boot_id="b", agent_version="0.1.0", wall_ns=0)
    assert event_text(status) == f"1970-01-01T00:00:00Z {words}"
    assert event_document(status)["kind"] == "status"


def test_message_left_out_is_counted() -> None:
    assert event_text(Malformed("truncated", 3)) == "left out a message (3 so far): truncated"
    assert event_document(Malformed("truncated", 3)) == {"kind": "malformed", "reason": "truncated", "count": 3}


def test_absurd_clock_of_a_board_is_shown_as_it_is() -> None:
    status = DeviceStatus(device="pi4", online=False, boot_id="b", agent_version="", wall_ns=2**63 - 1)
    assert event_text(status).startswith(("2262-", "@"))


def test_block_says_whose_it_is_and_leaves_out_memory_that_is_not_known() -> None:
    block = MeasurementBlock(
        device="pi4",
        boot_id="b",
        model="cnn",
        digest="a" * 64,
        attempt=0,
        index=2,
        reference=True,
        runs=40,
        samples_ms=(1.5,),
        p50_ms=1.5,
        rss_bytes=None,
        wall_ns=0,
    )
    assert event_text(block) == (
        "1970-01-01T00:00:00Z pi4 cnn (reference model) attempt 1 block 3: p50 1.500 ms over 40 runs"
    )
    document = event_document(block)
    assert (document["kind"], document["samples_ms"], document["rss_bytes"]) == ("block", [1.5], None)
