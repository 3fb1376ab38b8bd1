# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from edgectl.fleet.inventory import Device, Inventory, parse_inventory, serialize_inventory
from edgectl.fleet.payloads import MAX_PAYLOAD_BYTES, parse_payload
from edgectl_protos.errors import ProtocolError, UsageError
from edgectl_protos.metrics import Metric, TelemetryRecord, record_to_message

TOPICS = ("edgectl/v1/pi4/telemetry", "edgectl/v1/pi4/status")


def entry(**changes: Any) -> dict[str, Any]:
    return {"version": 1, "devices": {"pi4": {"address": "a:1", **changes}}}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "no inventory of version 1"),
        ({"version": 2, "devices": {}}, "no inventory of version 1"),
        ({"version": 1}, "no object 'devices'"),
        ({"version": 1, "devices": []}, "no object 'devices'"),
        ({"version": 1, "devices": {"pi4": 5}}, "'pi4' is no object"),
        ({"version": 1, "devices": {"../x": {"address": "a:1"}}}, r"device '../x'"),
        ({"version": 1, "devices": {"local": {"address": "a:1"}}}, "device 'local'"),
        (entry(adress="b:1"), "a field 'adress', not 'address'"),
        (entry(address=None), "address is no text"),
        (entry(address="nowhere:99999"), "address 'nowhere:99999'"),
        (entry(architecture=7), "architecture is no text"),
        (entry(identity=[]), "identity is no text"),
        ({"version": 1, "devices": {"pi4": {}}}, "address ''"),
    ],
)
def test_a_damaged_inventory_names_the_file_the_place_and_what_to_do(
    tmp_path: Path, document: object, place: str
) -> None:
    path = tmp_path / "devices.json"
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    with pytest.raises(UsageError, match=place) as caught:
        Inventory(path).add(Device("pi5", "b:1"))
    assert str(path) in caught.value.message
    assert "move it away" in caught.value.action
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"\0" * 100])
def test_an_inventory_that_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="damaged: no JSON"):
        parse_inventory(data, source="devices.json")


def test_an_inventory_cut_off_anywhere_is_refused_and_never_half_read() -> None:
    whole = serialize_inventory((Device("pi4", "a:1"), Device("pi5", "b:1")))
    for length in range(len(whole) - 2):
        with pytest.raises(UsageError, match="damaged"):
            parse_inventory(whole[:length], source="devices.json")


@pytest.mark.parametrize("topic", TOPICS)
def test_payloads_of_noise_are_values_or_one_clear_error(topic: str) -> None:
    rng = random.Random(11)
    whole = record_to_message(
        TelemetryRecord("pi4", "b", 1, 2, 3, (Metric("agent.rss", "bytes", 5.0),))
    ).SerializeToString()
    refused = 0
    for _ in range(2_000):
        payload = bytearray(rng.choice((whole, rng.randbytes(40))))
        payload[rng.randrange(len(payload))] = rng.randrange(256)
        try:
            _, value = parse_payload(topic, bytes(payload[: rng.randrange(len(payload) + 1)]))
        except ProtocolError:
            refused += 1
        else:
            assert value.device == "pi4"
    assert 0 < refused < 2_000


@pytest.mark.parametrize("topic", TOPICS)
def test_an_endless_payload_is_not_decoded(topic: str) -> None:
    with pytest.raises(ProtocolError, match="at most"):
        parse_payload(topic, bytes(MAX_PAYLOAD_BYTES + 1))
