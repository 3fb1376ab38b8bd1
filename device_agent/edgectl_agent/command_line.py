# SPDX-License-Identifier: Apache-2.0
"""The words of the command line as plain values: nothing of this module is needed once they are known."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

_EPILOG = "Exit codes: 0 ended by a signal, 1 error, 2 usage. Every flag of `run` may stand in --config instead."


def parse_command_line(arguments: Sequence[str] | None) -> dict[str, Any]:
    """The command, its `config` and its other words; ends the process where they are wrong, or ask for help."""
    return vars(_parser().parse_args(arguments))


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the command line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"edge-agent: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="edge-agent", description="The edgectl device agent: installs, runs and measures programs.", epilog=_EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version", help="print the version")
    doctor = commands.add_parser(
        "doctor", help="check the board and the installation, and say how to fix what is wrong"
    )
    doctor.add_argument("--config", type=Path, metavar="FILE.toml", help="settings (/etc/edgectl/agent.toml)")
    doctor.add_argument("-o", "--output", choices=["table", "json"], default="table", help="form of the result")
    run = commands.add_parser("run", help="run the agent until SIGTERM", epilog=_EPILOG)
    run.add_argument("--config", type=Path, metavar="FILE.toml", help="settings, under the flags given here")
    run.add_argument("--listen", metavar="HOST:PORT", help="where gRPC listens; port 0 takes a free one")
    run.add_argument("--state", metavar="DIR", help="where bundles and sockets live")
    run.add_argument("--device", metavar="NAME", help="this device's name")
    run.add_argument("--identity", metavar="DIR", help="ca.pem, device.pem, device.key: mutual TLS")
    run.add_argument("--mqtt", metavar="HOST:PORT", help="the broker for telemetry")
    run.add_argument("--mqtt-user", metavar="NAME")
    run.add_argument("--mqtt-password-file", metavar="FILE")
    run.add_argument("--mqtt-ca", metavar="FILE", help="the broker's certificate authority; needed off loopback")
    run.add_argument("--telemetry-interval", type=float, metavar="SECONDS", help="between records (1)")
    run.add_argument("--runner", metavar="PATH", help="the edge-runner program")
    run.add_argument("--threads", type=int, metavar="N", help="of every runner (0: as it chooses)")
    run.add_argument("--sockets", metavar="DIR", help="where applications find the models (STATE/run)")
    run.add_argument("--sockets-group", metavar="GROUP", help="who else may connect; needs --sockets")
    run.add_argument("--max-bundle-bytes", type=int, metavar="N", help="the largest bundle accepted (512 MiB)")
    run.add_argument("--die-with-parent", action="store_const", const=True, help="end when the parent process ends")
    run.add_argument("--emulator", metavar="FILE.toml", help="run the runners under this emulator, as another board")
    run.add_argument(
        "--emulated", metavar="WHAT", help="in an emulated machine: 'qemu-system CORE'; takes no time then"
    )
    run.add_argument("--no-grpc", dest="grpc", action="store_const", const=False, help="MQTT alone, less memory")
    return parser
