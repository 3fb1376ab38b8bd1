# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket

import pytest
from edgectl_agent.service import service_manager


def test_an_abstract_address_is_understood_and_taken_out_of_the_environment() -> None:
    name = f"edgectl-test-{id(object())}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        environ = {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7", "HOME": "/"}
        service_manager(environ, 7).ready("listening")
        assert listening.recv(100) == b"READY=1\nSTATUS=listening"
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("microseconds", ["", "-5", "soon", "0"])
def test_a_watchdog_that_is_none_is_not_served(microseconds: str) -> None:
    keep_alive = service_manager({"WATCHDOG_USEC": microseconds}, 1).keep_alive()
    with pytest.raises(StopIteration):
        keep_alive.send(None)
