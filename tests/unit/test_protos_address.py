# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from edgectl_protos.address import parse_address
from edgectl_protos.errors import UsageError


@pytest.mark.parametrize(
    ("text", "host", "port", "written", "loopback"),
    [
        ("pi4.local:7000", "pi4.local", 7000, "pi4.local:7000", False),
        ("pi4.local", "pi4.local", 50051, "pi4.local:50051", False),
        ("192.168.1.7:50051", "192.168.1.7", 50051, "192.168.1.7:50051", False),
        ("127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1", True),
        ("127.9.9.9:65535", "127.9.9.9", 65535, "127.9.9.9:65535", True),
        ("localhost:2", "localhost", 2, "localhost:2", True),
        ("[::1]:3", "::1", 3, "[::1]:3", True),
        ("[fd00::7]", "fd00::7", 50051, "[fd00::7]:50051", False),
        ("localhost.example.org:2", "localhost.example.org", 2, "localhost.example.org:2", False),
    ],
)
def test_address_is_read_and_written(text: str, host: str, port: int, written: str, *, loopback: bool) -> None:
    address = parse_address(text)
    assert (address.host, address.port, str(address), address.loopback) == (host, port, written, loopback)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "::1:5",
        "[::1]x",
        "[host]:5",
        "a b:5",
        "unix:/x",
        "h:1:2",
        "300.1.1.1",
        "1.2.3:5",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="HOST or HOST:PORT"):
        parse_address(text)


def test_a_listener_may_ask_for_any_free_port_but_must_give_one() -> None:
    assert parse_address("127.0.0.1:0", default_port=None, lowest_port=0).port == 0
    with pytest.raises(UsageError, match=r"--listen '127\.0\.0\.1'; expected HOST:PORT"):
        parse_address("127.0.0.1", what="--listen", default_port=None, lowest_port=0)
