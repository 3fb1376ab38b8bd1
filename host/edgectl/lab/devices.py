# SPDX-License-Identifier: Apache-2.0
"""From a device's name to a client that has said Hello.

"local" and the emulated boards are started here, others come from the inventory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgectl_protos.address import parse_address
from edgectl_protos.errors import AuthenticationError, UsageError

from edgectl.config import Paths
from edgectl.emulate.user_mode import emulated_target, prepare_emulated
from edgectl.fleet.authority import Authority, Clock, utc_now
from edgectl.fleet.inventory import EMULATED_PREFIX, LOCAL_DEVICE, Device, inventory_of
from edgectl.lab.client import AgentClient, Deadlines, Security
from edgectl.lab.local import LocalAgent


@contextlib.contextmanager
def open_device(
    name: str,
    *,
    paths: Paths,
    mqtt: tuple[str, int] | None = None,
    deadlines: Deadlines | None = None,
    clock: Clock = utc_now,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[AgentClient]:
    """A client for the device called `name`, connected and of this version.

    `mqtt` is a broker for the devices that are started here; `environ` says where the boards' wheel is, for emulated
    ones.

    Raises:
        UsageError: no such device, or another one answers at its address.
        StateError: what an emulated board needs is not on this machine.
        UnreachableError: no agent answers.
        AuthenticationError: it is not on this machine and has no certificate, or the certificates do not fit.
        ProtocolError: the agent speaks another version.
    """
    started = _started_here(name, paths, mqtt, environ)
    if started is not None:
        with started as agent, AgentClient(agent.address, deadlines=deadlines) as client:
            client.hello()
            yield client
        return
    device = inventory_of(paths).find(name)
    with AgentClient(device.address, security=_security(device, paths, clock), deadlines=deadlines) as client:
        _check_identity(client, device)
        yield client


def check_known(name: str, paths: Paths) -> None:
    """Raises `UsageError` where no device is called `name`; none is asked."""
    if name.startswith(EMULATED_PREFIX):
        emulated_target(name)
    elif name != LOCAL_DEVICE:
        inventory_of(paths).find(name)


def _started_here(
    name: str, paths: Paths, mqtt: tuple[str, int] | None, environ: Mapping[str, str]
) -> LocalAgent | None:
    """The agent of a device that edgectl starts on this machine; None for one of the inventory."""
    if name == LOCAL_DEVICE:
        return LocalAgent(local_state(paths), mqtt=mqtt)
    if not name.startswith(EMULATED_PREFIX):
        return None
    emulated = prepare_emulated(emulated_target(name), paths=paths, environ=environ)
    return LocalAgent(paths.state / name, device=name, mqtt=mqtt, emulated=emulated)


def local_state(paths: Paths) -> Path:
    """The folder of the agent that "local" starts; what is deployed there stays."""
    return paths.state / "local-agent"


def _security(device: Device, paths: Paths, clock: Clock) -> Security | None:
    if device.identity is not None:
        credentials = Authority.open(paths.config / "authority", clock).host_credentials()
        return Security(credentials, device.name)
    if parse_address(device.address).loopback:
        return None
    raise AuthenticationError(
        f"device {device.name!r} at {device.address} has no certificate",
        expected="mutual TLS with every device that is not on this machine",
        action=f"run `edgectl device remove {device.name}`, then `edgectl device add` to have one made",
    )


def _check_identity(client: AgentClient, device: Device) -> None:
    """With TLS the certificate proves the name already; on loopback ports are easily mixed up."""
    given = client.hello().name
    if given != device.name:
        raise UsageError(
            f"the agent at {device.address} is called {given[:80]!r}",
            expected=f"{device.name!r}, as the inventory has it",
            action="correct the address, or start the agent with that name",
        )
