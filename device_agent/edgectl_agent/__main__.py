# SPDX-License-Identifier: Apache-2.0
"""The command line: `edge-agent run | doctor | version`. It parses and hands over; the rest is imported when needed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from edgectl_agent import __version__

_EPILOG = "Exit codes: 0 ended by a signal, 1 error, 2 usage. Every flag of `run` may stand in --config instead."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    if os.environ.get("EDGECTL_DEBUG") != "1":
        # gRPC's own log would stand beside the one line of an error. Read when gRPC is first imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    given = _parser().parse_args(arguments)
    if given.command == "version":
        sys.stdout.write(f"edge-agent {__version__}\n")
        return 0
    return _doctor(given) if given.command == "doctor" else _run(given)


def _doctor(given: argparse.Namespace) -> int:
    from edgectl_agent.doctor.command import doctor

    status, text = doctor(given.config, as_json=given.output == "json")
    sys.stdout.write(f"{text}\n")
    return status


def _run(given: argparse.Namespace) -> int:
    import asyncio
    import faulthandler
    import logging

    from edgectl_protos.errors import EdgectlError

    from edgectl_agent.app import run_agent
    from edgectl_agent.configuration import Settings, configure, merge_settings, settings_from_file
    from edgectl_agent.service import service_manager

    faulthandler.enable()  # systemd ends an agent that hangs by SIGABRT: its log shall say where it hung
    manager = service_manager(os.environ, os.getpid())
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        flags = Settings(**{name: value for name, value in vars(given).items() if name not in {"command", "config"}})
        file = settings_from_file(given.config) if given.config else Settings()
        asyncio.run(run_agent(configure(merge_settings(flags, file)), manager))
    except EdgectlError as error:
        sys.stderr.write(f"edge-agent: {error.code}: {error.message}\n")
        return int(error.exit_code)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
