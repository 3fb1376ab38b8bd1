# SPDX-License-Identifier: Apache-2.0
"""What the agent tells the service manager that started it: ready, alive, stopping.

sd_notify(3) and sd_watchdog_enabled(3) are the protocol. Where nobody asked to be told, nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import MutableMapping

_ADDRESS, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class ServiceManager:
    """The manager that listens on the datagram socket `address` ("" where there is none).

    `watchdog_seconds` is how long it waits for a sign of life before it ends this process; 0 is for ever.
    """

    def __init__(self, address: str = "", *, watchdog_seconds: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds

    def ready(self, status: str) -> None:
        """The agent answers; `status` is one line for people."""
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The agent is on its way out."""
        self._tell("STOPPING=1")

    async def keep_alive(self) -> None:
        """Give a sign of life twice within the manager's patience, until cancelled.

        It runs in the event loop on purpose: a loop that hangs gives none, and the manager starts the agent anew.
        """
        while self._watchdog_seconds:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_seconds / 2)

    def _tell(self, state: str) -> None:
        # A manager that is not there, or has no room for the message, is no reason to fail or to wait.
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(0)
                channel.sendto(state.encode(), self._address)


def service_manager(environ: MutableMapping[str, str], pid: int) -> ServiceManager:
    """The manager that `environ` names to the process `pid`; its variables are taken out, for they bind no child."""
    address, microseconds, watched = (environ.pop(name, "") for name in (_ADDRESS, _WATCHDOG, _WATCHDOG_PID))
    asked = microseconds.isdecimal() and watched in {"", str(pid)}
    return ServiceManager(address, watchdog_seconds=int(microseconds) / 1e6 if asked else 0.0)
