# SPDX-License-Identifier: Apache-2.0
"""Topics: what is built is parsed back, and nothing else is taken for one of ours."""

from __future__ import annotations

import pytest
from edgectl_protos.errors import UsageError
from edgectl_protos.topics import Channel, Topic, check_name, parse_topic, subscription
from hypothesis import given, settings
from hypothesis import strategies as st

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


@given(device=names, channel=st.sampled_from(Channel))
@settings(deadline=None)
def test_topic_is_parsed_back(device: str, channel: Channel) -> None:
    assert parse_topic(str(Topic(device, channel))) == Topic(device, channel)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edgectl/v1/",
        "edgectl/v1/pi",
        "edgectl/v1//status",
        "edgectl/v1/pi/other",
        "edgectl/v1/pi/status/more",
        "edgectl/v2/pi/status",
        "x/edgectl/v1/pi/status",
        "edgectl/v1/+/status",
        "edgectl/v1/#",
        "edgectl/v1/pi/status\n",
        "edgectl/v1/../status",
    ],
)
def test_other_topics_are_not_ours(text: str) -> None:
    assert parse_topic(text) is None


@given(text=st.text(max_size=40))
@settings(deadline=None)
def test_any_text_parses_to_a_topic_that_builds_it_or_to_none(text: str) -> None:
    topic = parse_topic(text)
    assert topic is None or str(topic) == text


def test_subscription_covers_one_device_or_all() -> None:
    assert subscription(Channel.STATUS) == "edgectl/v1/+/status"
    assert subscription(Channel.TELEMETRY, device="pi") == "edgectl/v1/pi/telemetry"
    assert subscription(Channel.MEASUREMENT, device="pi") == "edgectl/v1/pi/measurement"


@pytest.mark.parametrize("device", ["#", "+", "a/b", ""])
def test_subscription_to_a_device_that_cannot_be_is_refused(device: str) -> None:
    with pytest.raises(UsageError):
        subscription(Channel.STATUS, device=device)


@pytest.mark.parametrize("name", ["a", "Pi-4.lab_2", "0", "n" * 63])
def test_name_is_returned(name: str) -> None:
    assert check_name(name, what="device") == name


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "ä", "n" * 64, "a+", "#"])
def test_name_that_cannot_stand_in_a_path_or_topic_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="device"):
        check_name(name, what="device")
