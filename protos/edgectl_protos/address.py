# SPDX-License-Identifier: Apache-2.0
"""Where something listens: HOST:PORT, with IPv6 hosts in brackets. Both ends decide by it what may go in plain text."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NoReturn

from edgectl_protos.errors import UsageError

DEFAULT_PORT = 50051

_ADDRESS = re.compile(
    r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?))(?::([0-9]{1,5}))?"
)
_DOTTED_NUMBERS = re.compile(r"[0-9.]+")


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address (without brackets) and a TCP port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether traffic to it stays on this machine, so that plain text is allowed."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(
    text: str, *, what: str = "address", default_port: int | None = DEFAULT_PORT, lowest_port: int = 1
) -> Address:
    """The address in `text`, which `what` names in messages.

    A missing port is `default_port`, or an error where that is None; `lowest_port` 0 allows "any free one".

    Raises:
        UsageError: it is no such address.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        _refuse(text, what, default_port)
    bracketed, name, digits = match.groups()
    port = int(digits) if digits else default_port
    if port is None or not lowest_port <= port < 65536:
        _refuse(text, what, default_port)
    if (bracketed and not _is_ip(bracketed, 6)) or (name and _DOTTED_NUMBERS.fullmatch(name) and not _is_ip(name, 4)):
        _refuse(text, what, default_port)
    return Address(bracketed or name, port)


def _is_ip(host: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False


def _refuse(text: str, what: str, default_port: int | None) -> NoReturn:
    port = default_port or DEFAULT_PORT
    form = "HOST:PORT" if default_port is None else "HOST or HOST:PORT"
    raise UsageError(
        f"{what} {text[:120]!r}",
        expected=f"{form}, such as 192.168.1.7:{port} or [fd00::7]:{port}",
        action="correct it",
    )
