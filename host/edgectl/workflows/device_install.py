# SPDX-License-Identifier: Apache-2.0
"""From a board that ssh reaches to a device that answers Hello: identity, packages, service, and what the doctor says.

The inventory has the device once it answers. A board whose new agent does not answer gets back what it ran before.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgectl_protos.address import Address, parse_address
from edgectl_protos.errors import EdgectlError, StateError, UnreachableError, UsageError

from edgectl.config import Paths
from edgectl.emulate.board_wheel import find_board_wheel
from edgectl.fleet.authority import DEVICE_CERTIFICATE_FILE, Authority, Clock
from edgectl.fleet.certificates import LEAF_LIFE, parse_certificate
from edgectl.fleet.inventory import Device, inventory_of
from edgectl.lab.client import AgentClient, Deadlines, Security
from edgectl.lab.device_values import DeviceInfo
from edgectl.workflows.board_packages import fetch_packages
from edgectl.workflows.provisioning import DoctorFinding, Provisioner, Say, SeenBoard, host_of, provisioner

ANSWER_SECONDS = 30.0
_HELLO = Deadlines(hello=5.0)
_PAUSE_SECONDS = 0.5
_RENEW_BELOW = LEAF_LIFE / 3
_MQTT_PORT = 8883


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the board's telemetry goes; the files are this host's."""

    address: str
    user: str | None = None
    password_file: Path | None = None
    authority: Path | None = None

    @property
    def words(self) -> list[str]:
        """Options of install.sh. Raises UsageError."""
        given = {
            "--mqtt": parse_address(self.address, what="--mqtt", default_port=_MQTT_PORT),
            "--mqtt-user": self.user,
            "--mqtt-password-file": self.password_file,
            "--mqtt-ca": self.authority,
        }
        return [word for option, value in given.items() if value is not None for word in (option, str(value))]


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """What is asked for; None leaves it to edgectl.

    `address` is where the host dials the agent (otherwise the one ssh dials), `packages` a folder of wheels, `online`
    lets the board fetch them, `renew` makes a new certificate, whatever the old one is worth.
    """

    destination: str
    name: str
    address: str | None = None
    wheel: Path | None = None
    packages: Path | None = None
    online: bool = False
    broker: Broker | None = None
    renew: bool = False


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What would be done, a line each."""

    device: Device
    board: SeenBoard
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """A device that answers; `findings` is what its doctor says, or why it could not be asked."""

    device: Device
    board: SeenBoard
    info: DeviceInfo
    findings: tuple[DoctorFinding, ...] | StateError


@dataclass(frozen=True, slots=True)
class Host:
    """What of this host an installation works with; `say` takes a line about what is being done.

    `terminal` says that a person sits at this process's input, whom sudo on the board may ask for a password.
    """

    paths: Paths
    environ: Mapping[str, str]
    clock: Clock
    say: Say
    terminal: bool = False
    wait: Callable[[float], object] = time.sleep


def plan_install(request: InstallRequest, host: Host) -> InstallPlan:
    """What `install_device` would do. The board is looked at; nothing is changed, here or there.

    Raises:
        EdgectlError: as `install_device`, as far as it can be told.
    """
    device, identity = _device(request, host)
    with provisioner(request.destination, environ=host.environ, say=host.say) as board:
        seen = board.look()
    _check_board(seen, device)
    wheel = _wheel(request, seen, host)
    there = f"upgrade edge-agent {seen.installed}" if seen.installed else "install edge-agent"
    back = f"edge-agent {seen.installed}" if seen.installed else "nothing installed"
    steps = [
        f"make a certificate for {device.name} in {identity}" if _needs_certificate(identity, request, host) else "",
        f"fetch what {wheel.name} needs, on this host" if _fetches(request) else "",
        f"send the agent, its unit and the identity{'' if _keeps_settings(request, seen) else ', and settings'}",
        f"{there} in a folder of its own in /opt/edgectl.d, and point /opt/edgectl to it",
        "write /etc/edgectl and /etc/systemd/system/edge-agent.service, and bound the journal to 64 MiB",
        f"start it, and wait for it to answer at {device.address}; go back to {back} if it does not",
    ]
    return InstallPlan(device, seen, tuple(step for step in steps if step))


def install_device(request: InstallRequest, host: Host) -> Installation:
    """Install the agent, or upgrade it, and wait for its Hello.

    Raises:
        UsageError: the request is wrong, or another device has the name, the address or the board.
        StateError: the board cannot be reached, cannot run the agent, or the agent does not start there.
        UnreachableError: it runs and does not answer this host; the board runs what it ran before.
    """
    device, identity = _device(request, host)
    with provisioner(request.destination, environ=host.environ, say=host.say) as board:
        seen = board.look()
        host.say(f"{request.destination} is {seen.words}")
        _check_board(seen, device)
        words = ["--wheel", str(wheel := _wheel(request, seen, host))]
        packages = _packages(request, seen, wheel, host)
        authority = Authority.open_or_create(host.paths.config / "authority", host.clock)
        if _needs_certificate(identity, request, host):
            host.say(f"making a certificate for {device.name}")
            authority.issue_device(device.name, identity.parent)
        words += ["--wheels", str(packages)] if packages is not None else []
        words += ["--identity", str(identity), *_settings_words(request, seen, device)]
        board.install(words, device.name, terminal=seen.asks_password and host.terminal)
        security = Security(authority.host_credentials(), device.name)
        info = _await_hello(board, device, security, seen, host)
        findings = _findings(board) if not seen.asks_password else StateError("sudo asks for a password there")
    inventory = inventory_of(host.paths)
    if device.name not in {known.name for known in inventory.devices()}:
        inventory.add(device)
    return Installation(device, seen, info, findings)


def uninstall_device(destination: str, *, purge: bool, dry_run: bool, host: Host) -> tuple[tuple[str, ...], str | None]:
    """Remove the agent from a board, and the device from the inventory; its certificate stays on this host.

    Returns:
        What was (or would be) done, and the name of the device that was (or would be) forgotten (None: none).

    Raises:
        StateError: the board cannot be reached, or refuses.
    """
    inventory = inventory_of(host.paths)
    with provisioner(destination, environ=host.environ, say=host.say) as board:
        seen, told = board.uninstall(purge=purge, dry_run=True, terminal=False)
        if not dry_run:
            _, told = board.uninstall(purge=purge, dry_run=False, terminal=seen.asks_password and host.terminal)
    # The name is what the board says of itself: only the device at this very host is forgotten.
    host_name = host_of(destination, environ=host.environ)
    known = any(
        device.name == seen.device and parse_address(device.address).host == host_name for device in inventory.devices()
    )
    if known and not dry_run:
        inventory.remove(seen.device)
    return told, seen.device if known else None


def _device(request: InstallRequest, host: Host) -> tuple[Device, Path]:
    """The device as the inventory has it, or as it will be, and the folder of its certificate."""
    inventory = inventory_of(host.paths)
    known = {device.name: device for device in inventory.devices()}.get(request.name)
    dialled = request.address or _bracketed(host_of(request.destination, environ=host.environ))
    folder = host.paths.config / "identities" / request.name
    device = Device(request.name, dialled, identity=folder)
    if known is None:
        inventory.check_new(request.name)
        return device, folder
    same_host = parse_address(known.address).host == parse_address(device.address).host
    there = known.address == device.address or (request.address is None and same_host)
    if not there or known.identity is None:
        channel = "" if known.identity else " in plain text"
        raise UsageError(
            f"the device {known.name!r} is at {known.address}{channel}, not at {device.address}",
            expected="the board that has that name",
            action=f"choose another name, or run `edgectl device remove {known.name}` first",
        )
    return known, known.identity


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_board(seen: SeenBoard, device: Device) -> None:
    if seen.device and seen.device != device.name:
        raise UsageError(
            f"the board is the device {seen.device!r} already",
            expected=f"{device.name!r}, or a board without an agent",
            action=f"give --name {seen.device}, or run `edgectl device uninstall` for it first",
        )


def _wheel(request: InstallRequest, seen: SeenBoard, host: Host) -> Path:
    if request.wheel is None and seen.machine == "aarch64":
        return find_board_wheel(host.paths, host.environ)
    if request.wheel is None:
        raise UsageError(
            f"no --wheel for a board that is {seen.machine}",
            expected="the agent's wheel for it",
            action=f"build it (make agent-wheel ARCH={seen.machine}) and give it with --wheel",
        )
    if not request.wheel.is_file():
        raise UsageError(f"--wheel {request.wheel}: no such file", expected="the agent's wheel for the board")
    return request.wheel


def _fetches(request: InstallRequest) -> bool:
    return request.packages is None and not request.online


def _packages(request: InstallRequest, seen: SeenBoard, wheel: Path, host: Host) -> Path | None:
    """The folder of wheels to send; None leaves it to the board's own pip."""
    if _fetches(request):
        return fetch_packages(wheel, seen, host.paths.cache, say=host.say)
    return request.packages


def _needs_certificate(folder: Path, request: InstallRequest, host: Host) -> bool:
    """There is none, a third of its life or less is left, or a new one is asked for."""
    path = folder / DEVICE_CERTIFICATE_FILE
    if request.renew or not path.is_file():
        return True
    ends: dt.datetime = parse_certificate(path.read_bytes(), source=str(path)).not_valid_after_utc
    return ends - host.clock() < _RENEW_BELOW


def _keeps_settings(request: InstallRequest, seen: SeenBoard) -> bool:
    return bool(seen.device) and request.broker is None and request.address is None


def _settings_words(request: InstallRequest, seen: SeenBoard, device: Device) -> list[str]:
    """Settings where there are none, or where some are given; otherwise those on the board stay."""
    if _keeps_settings(request, seen):
        return []
    address = parse_address(device.address)
    everywhere = Address("::" if ":" in address.host else "0.0.0.0", address.port)  # noqa: S104 - mutual TLS guards it
    return ["--listen", str(everywhere), *(request.broker.words if request.broker else [])]


def _await_hello(board: Provisioner, device: Device, security: Security, seen: SeenBoard, host: Host) -> DeviceInfo:
    """What the agent says of itself. One that does not say it in time is withdrawn.

    Raises:
        EdgectlError: what the last Hello met.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            with AgentClient(device.address, security=security, deadlines=_HELLO) as client:
                return client.hello()
        except EdgectlError as error:
            if isinstance(error, UnreachableError) and time.monotonic() < deadline:
                host.wait(_PAUSE_SECONDS)
                continue
            host.say(f"{device.name} does not answer at {device.address}: the board gets back what it ran before")
            board.rollback(terminal=seen.asks_password and host.terminal)
            if not isinstance(error, UnreachableError):
                raise
            port = parse_address(device.address).port
            raise UnreachableError(
                f"the agent ran on the board, and this host did not reach it at {device.address}",
                expected="an answer to Hello",
                action=f"open port {port} in the board's firewall, or give the right address with --address",
            ) from error


def _findings(board: Provisioner) -> tuple[DoctorFinding, ...] | StateError:
    try:
        return board.doctor()
    except StateError as error:
        return error
