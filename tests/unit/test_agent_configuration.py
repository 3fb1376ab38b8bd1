# SPDX-License-Identifier: Apache-2.0
"""The agent's settings: what is refused before anything starts, and what wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgectl_agent.configuration import (
    Settings,
    configure,
    merge_settings,
    settings_from_document,
    settings_from_file,
)
from edgectl_protos.errors import UsageError

_MINIMAL = Settings(state="/s", device="board", listen="127.0.0.1:0")


def _with(**changes: object) -> Settings:
    return merge_settings(Settings(**changes), _MINIMAL)  # type: ignore[arg-type]


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "192.168.1.5:50051", "[::]:50051", "board.local:50051"])
def test_plain_text_off_loopback_is_refused(listen: str) -> None:
    with pytest.raises(UsageError, match="plain text never leaves the machine"):
        configure(_with(listen=listen))


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.1.2.3:7", "[::1]:50051", "localhost:50051"])
def test_plain_text_on_loopback_is_allowed(listen: str) -> None:
    assert configure(_with(listen=listen)).identity is None


def test_an_identity_opens_every_address() -> None:
    configuration = configure(_with(listen="0.0.0.0:50051", identity="/etc/edgectl"))
    assert str(configuration.listen) == "0.0.0.0:50051"


def test_mqtt_off_loopback_needs_an_authority() -> None:
    with pytest.raises(UsageError, match="--mqtt-ca"):
        configure(_with(mqtt="broker.example:8883"))
    assert configure(_with(mqtt="broker.example:8883", mqtt_ca="/ca.pem")).mqtt is not None


@pytest.mark.parametrize("name", ["mqtt_user", "mqtt_password_file", "mqtt_ca"])
def test_a_brokers_settings_without_a_broker_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} without --mqtt"):
        configure(_with(**{name: "x"}))


@pytest.mark.parametrize("size", [0, -1, 1 << 41])
def test_a_largest_bundle_that_admits_none_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"max_bundle_bytes {size}"):
        configure(_with(max_bundle_bytes=size))


def test_without_grpc_there_must_be_mqtt() -> None:
    with pytest.raises(UsageError, match="--mqtt"):
        configure(_with(grpc=False))
    assert configure(_with(grpc=False, mqtt="127.0.0.1:1883")).listen is None


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_an_interval_that_cannot_be_kept_is_refused(interval: float) -> None:
    with pytest.raises(UsageError, match="telemetry interval"):
        configure(_with(telemetry_interval=interval))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-x", "x" * 64])
def test_a_device_name_that_fits_no_topic_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        configure(_with(device=name))


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":1", "h:", "h:x", "h:65536", "h:-1", "unix:/tmp/x:1", "h:1²"])
@pytest.mark.parametrize("flag", ["listen", "mqtt"])
def test_an_address_that_is_none_is_refused(flag: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"--{flag} .*HOST:PORT"):
        configure(_with(**{flag: text}))


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('device = "from-file"\nstate = "/file"\ntelemetry_interval = 5\ngrpc = false\n')
    merged = merge_settings(Settings(device="from-flag"), settings_from_file(path))
    assert (merged.device, merged.state, merged.telemetry_interval, merged.grpc) == ("from-flag", "/file", 5.0, False)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="telemetry_interval"):
        settings_from_document({"telemetry-intervall": 2.0}, source="agent.toml")


@pytest.mark.parametrize(("key", "value"), [("threads", True), ("threads", "2"), ("device", 3), ("grpc", 0)])
def test_a_value_of_the_wrong_type_is_refused(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=key):
        settings_from_document({key: value}, source="agent.toml")


def test_a_file_that_is_no_toml_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"\xff= [")
    with pytest.raises(UsageError, match="TOML"):
        settings_from_file(path)
