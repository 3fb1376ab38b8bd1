# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from edgectl.lab import client
from edgectl_agent.rpc import server


def test_the_agent_bears_the_pings_that_the_host_sends() -> None:
    """Otherwise gRPC cuts off a call that is silent for two minutes ("too_many_pings"), as a slow benchmark is."""
    sent = dict(client._OPTIONS)["grpc.keepalive_time_ms"]
    borne = dict(server._OPTIONS)["grpc.http2.min_ping_interval_without_data_ms"]
    assert sent >= 2 * borne


def test_a_stream_that_only_receives_is_pinged_as_often_as_any_other() -> None:
    """After two pings without data sent gRPC's default is one a minute, or none, by its version."""
    assert dict(client._OPTIONS)["grpc.http2.max_pings_without_data"] == 0


@pytest.mark.parametrize("name", ["grpc.max_receive_message_length", "grpc.max_send_message_length"])
def test_both_ends_agree_on_the_longest_message(name: str) -> None:
    assert dict(client._OPTIONS)[name] == dict(server._OPTIONS)[name] == 64 << 20
