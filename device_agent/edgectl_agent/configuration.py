# SPDX-License-Identifier: Apache-2.0
"""The agent's settings: a TOML file under the command line's flags, checked once, then trusted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edgectl_protos.address import Address, parse_address
from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known
from edgectl_protos.topics import check_name

_EMULATED = re.compile(r"qemu-system [a-z0-9.-]{1,40}")
_MAX_INTERVAL_SECONDS = 3600.0
_MIN_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """Flags and file keys as they were given, by the same names; None is "not given"."""

    listen: str | None = None
    state: str | None = None
    device: str | None = None
    identity: str | None = None
    mqtt: str | None = None
    mqtt_user: str | None = None
    mqtt_password_file: str | None = None
    mqtt_ca: str | None = None
    telemetry_interval: float | None = None
    runner: str | None = None
    threads: int | None = None
    sockets: str | None = None
    sockets_group: str | None = None
    max_bundle_bytes: int | None = None
    die_with_parent: bool | None = None
    grpc: bool | None = None
    emulator: str | None = None
    emulated: str | None = None


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where telemetry goes. The password is a file's content, never an argument that `ps` shows."""

    broker: Address
    user: str | None
    password_file: Path | None
    authority: Path | None


@dataclass(frozen=True, slots=True)
class AgentConfiguration:
    """What an agent runs with; `listen` is None where the gRPC side is off, `threads` 0 leaves it to the runner.

    `emulator` is the file of the emulator that starts its runners, `emulated` what emulates the whole machine ("" on a
    real board).
    """

    device: str
    state: Path
    listen: Address | None
    identity: Path | None
    mqtt: MqttSettings | None
    telemetry_interval: float
    runner: Path | None
    threads: int
    sockets: Path
    sockets_group: str | None
    max_bundle_bytes: int
    die_with_parent: bool
    emulator: Path | None = None
    emulated: str = ""


def settings_from_file(path: Path) -> Settings:
    """The settings in a TOML file.

    Raises:
        UsageError: it cannot be read, is not TOML, or holds an unknown key or a value of the wrong type.
    """
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}", expected="a TOML file", action="check --config") from error
    return settings_from_document(document, source=str(path))


def settings_from_document(document: Mapping[str, Any], *, source: str) -> Settings:
    """The settings in parsed TOML; keys are the flags' names with `_` for `-`."""
    known = {field.name: _plain_type(str(field.type)) for field in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key not in known:
            raise UsageError(f"{source}: unknown key {key!r}", expected=describe_known(key, list(known)))
        wanted = known[key]
        given = float(value) if wanted is float and type(value) is int else value
        if type(given) is not wanted:
            raise UsageError(f"{source}: {key} is {value!r}", expected=f"a value of type {wanted.__name__}")
        values[key] = given
    return Settings(**values)


def merge_settings(flags: Settings, file: Settings) -> Settings:
    """Flags win over the file."""
    merged = {}
    for field in fields(Settings):
        given = getattr(flags, field.name)
        merged[field.name] = getattr(file, field.name) if given is None else given
    return Settings(**merged)


def configure(settings: Settings) -> AgentConfiguration:
    """The checked configuration.

    Raises:
        UsageError: something needed is missing, out of range, or would put plain text on a network.
    """
    if settings.state is None or settings.device is None:
        raise UsageError("no --state or no --device", expected="both", action="give them, or a --config that has them")
    if settings.sockets_group is not None and settings.sockets is None:
        raise UsageError(
            "--sockets-group without --sockets",
            expected="a folder the group can reach: the state folder is private",
            action="give --sockets /run/edge-agent, or another folder outside --state",
        )
    state = Path(settings.state).absolute()
    return AgentConfiguration(
        device=check_name(settings.device, what="device name"),
        state=state,
        listen=_listen(settings),
        identity=Path(settings.identity) if settings.identity else None,
        mqtt=_mqtt(settings),
        telemetry_interval=_interval(1.0 if settings.telemetry_interval is None else settings.telemetry_interval),
        runner=Path(settings.runner) if settings.runner else None,
        threads=_within(settings.threads or 0, what="threads", highest=256),
        sockets=Path(settings.sockets).absolute() if settings.sockets else state / "run",
        sockets_group=settings.sockets_group,
        max_bundle_bytes=_max_bundle_bytes(settings),
        die_with_parent=bool(settings.die_with_parent),
        emulator=Path(settings.emulator) if settings.emulator else None,
        emulated=_emulated(settings),
    )


def _emulated(settings: Settings) -> str:
    if settings.emulated is None:
        return ""
    if settings.emulator is not None:
        raise UsageError(
            "emulated with --emulator", expected="one of them", action="leave emulated to the agent in the machine"
        )
    if _EMULATED.fullmatch(settings.emulated) is None:
        raise UsageError(
            f"emulated is {settings.emulated[:80]!r}",
            expected="'qemu-system CORE', such as 'qemu-system cortex-a72'",
            action="leave it out on a real board",
        )
    return settings.emulated


def _listen(settings: Settings) -> Address | None:
    if settings.grpc is False:
        if settings.mqtt is None:
            raise UsageError("--no-grpc without --mqtt", expected="a way in or out", action="give --mqtt HOST:PORT")
        return None
    if settings.listen is None:
        raise UsageError("no --listen", expected="HOST:PORT", action="give it, or --no-grpc for MQTT alone")
    endpoint = parse_address(settings.listen, what="--listen", default_port=None, lowest_port=0)
    if settings.identity is None and not endpoint.loopback:
        raise UsageError(
            f"--listen {endpoint} without --identity",
            expected="a loopback address: plain text never leaves the machine",
            action="listen on 127.0.0.1, or give the identity that `edgectl device add` made",
        )
    return endpoint


def _mqtt(settings: Settings) -> MqttSettings | None:
    if settings.mqtt is None:
        for name in ("mqtt_user", "mqtt_password_file", "mqtt_ca"):
            if getattr(settings, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} without --mqtt", expected="both", action="give --mqtt HOST:PORT too")
        return None
    broker = parse_address(settings.mqtt, what="--mqtt", default_port=None)
    if settings.mqtt_ca is None and not broker.loopback:
        raise UsageError(
            f"--mqtt {broker} without --mqtt-ca",
            expected="TLS: plain text never leaves the machine",
            action="give the broker's certificate authority with --mqtt-ca",
        )
    return MqttSettings(
        broker=broker,
        user=settings.mqtt_user,
        password_file=Path(settings.mqtt_password_file) if settings.mqtt_password_file else None,
        authority=Path(settings.mqtt_ca) if settings.mqtt_ca else None,
    )


def _interval(seconds: float) -> float:
    if not math.isfinite(seconds) or not _MIN_INTERVAL_SECONDS <= seconds <= _MAX_INTERVAL_SECONDS:
        raise UsageError(
            f"telemetry interval {seconds}", expected=f"{_MIN_INTERVAL_SECONDS} to {_MAX_INTERVAL_SECONDS} seconds"
        )
    return seconds


def _max_bundle_bytes(settings: Settings) -> int:
    given = 512 << 20 if settings.max_bundle_bytes is None else settings.max_bundle_bytes
    return _within(given, what="max_bundle_bytes", lowest=1, highest=1 << 40)


def _within(value: int, *, what: str, highest: int, lowest: int = 0) -> int:
    if not lowest <= value <= highest:
        raise UsageError(f"{what} {value}", expected=f"{lowest} to {highest}")
    return value


def _plain_type(annotation: str) -> type:
    types_by_name: dict[str, type] = {"str": str, "float": float, "int": int, "bool": bool}
    return types_by_name[annotation.split(" ", maxsplit=1)[0]]
