# SPDX-License-Identifier: Apache-2.0
"""The program: `edge-agent run | doctor | version`. What one of them needs is imported when it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgectl_agent import __version__

if TYPE_CHECKING:
    from edgectl_agent.configuration import AgentConfiguration

_NEEDED_ONCE = ("argparse", "gettext", "tomllib", "edgectl_agent.command_line")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    if os.environ.get("EDGECTL_DEBUG") != "1":
        # gRPC's own log would stand beside the one line of an error. Read when gRPC is first imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    before = frozenset(sys.modules)
    from edgectl_agent.command_line import parse_command_line

    given = parse_command_line(arguments)
    match given.pop("command"):
        case "version":
            sys.stdout.write(f"edge-agent {__version__}\n")
            return 0
        case "doctor":
            return _doctor(given)
        case _:
            return _run(given, before)


def _doctor(given: dict[str, Any]) -> int:
    from edgectl_agent.doctor.command import doctor

    status, text = doctor(given["config"], as_json=given["output"] == "json")
    sys.stdout.write(f"{text}\n")
    return status


def _run(given: dict[str, Any], before: frozenset[str]) -> int:
    """Run the agent; `before` are the modules that were there before the command line was read."""
    from edgectl_agent.resident import without_syntax_trees

    with without_syntax_trees():
        import inspect  # noqa: F401 - before anybody else does
    import faulthandler

    from edgectl_protos.errors import EdgectlError

    faulthandler.enable()  # systemd ends an agent that hangs by SIGABRT: its log shall say where it hung
    try:
        _serve(_configuration(given, before))
    except EdgectlError as error:
        sys.stderr.write(f"edge-agent: {error.code}: {error.message}\n")
        return int(error.exit_code)
    return 0


def _configuration(given: dict[str, Any], before: frozenset[str]) -> AgentConfiguration:
    """What the agent runs with. What was needed to read it makes room before the rest is imported."""
    from edgectl_agent.configuration import Settings, configure, merge_settings, settings_from_file
    from edgectl_agent.resident import forget_modules

    config = given.pop("config")
    file = settings_from_file(config) if config else Settings()
    configuration = configure(merge_settings(Settings(**given), file))
    forget_modules(_NEEDED_ONCE, kept=before)
    return configuration


def _serve(configuration: AgentConfiguration) -> None:
    from edgectl_agent.resident import one_arena, without_pure_python_protobuf

    one_arena()
    with without_pure_python_protobuf():
        import google.protobuf.internal.builder  # noqa: F401 - what generated code is built with
    import asyncio
    import logging

    from edgectl_agent.app import run_agent
    from edgectl_agent.service import service_manager

    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    asyncio.run(run_agent(configuration, service_manager(os.environ, os.getpid())))


if __name__ == "__main__":
    sys.exit(main())
