# SPDX-License-Identifier: Apache-2.0
"""The entry point `edgectl`: finds the command, runs it, and turns whatever goes wrong into a line and an exit code."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from edgectl_protos.errors import ExitCode

from edgectl import __version__
from edgectl.cli.failures import Failure, describe_failure
from edgectl.cli.groups import CommandEntry, LazyGroup
from edgectl.cli.options import OUTPUT_STYLES
from edgectl.cli.output import json_text

COMMANDS: Mapping[str, CommandEntry] = {
    name: CommandEntry(module, attribute, help_line)
    for name, module, attribute, help_line in (
        ("demo", "edgectl.cli.demo", "demo", "Take a small model through everything, on this machine alone."),
        ("doctor", "edgectl.cli.doctor", "doctor", "Check this machine, and say how to fix what is missing."),
        ("compress", "edgectl.cli.compress", "compress", "Run a recipe: train, prune, distill, quantize, lower."),
        ("lower", "edgectl.cli.lower", "lower", "Lower a model as it is to a bundle."),
        (
            "quant-report",
            "edgectl.cli.quant_report",
            "quant_report",
            "Rank a quantized model's layers by error, with the cause.",
        ),
        ("inspect", "edgectl.cli.inspect", "inspect", "Show what a bundle holds."),
        ("bench", "edgectl.cli.bench", "bench", "Measure latency and memory on a device."),
        ("profile", "edgectl.cli.profile", "profile", "Show where a program's time goes, by operator."),
        ("deploy", "edgectl.cli.deploy", "deploy", "Install a bundle on a device and make it the active one."),
        ("rollback", "edgectl.cli.rollback", "rollback", "Go back to the bundle that was active before."),
        ("infer", "edgectl.cli.infer", "infer", "Run a model on a device over .npy inputs."),
        ("search", "edgectl.cli.search", "search", "Search for models, each one timed on a device."),
        ("device", "edgectl.cli.device", "device", "List, add, remove and show devices."),
        ("qemu", "edgectl.cli.qemu", "qemu", "Emulate whole boards as devices."),
        ("telemetry", "edgectl.cli.telemetry", "telemetry", "Read what devices report."),
        ("targets", "edgectl.cli.targets", "targets", "Show the targets a model can be lowered for."),
        ("completion", "edgectl.cli.completion", "completion", "Print the completion script of a shell."),
    )
}

edgectl = LazyGroup(
    entries=COMMANDS,
    name="edgectl",
    help="Compress PyTorch models by measuring on the boards themselves, and run them there.",
    epilog="Every command takes -o table|plain|json. Exit codes: 0 done, 1 error, 2 usage, 3 timeout, "
    "4 authentication, 5 partial success, 6 gate failed and the active bundle stays, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(["-o", "--output"], type=click.Choice(OUTPUT_STYLES), help="As after every command."),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            help="Show the version and exit.",
            callback=lambda context, _option, given: _print_version(context) if given else None,
        ),
    ],
)


class Terminated(SystemExit):
    """SIGTERM; a plain SystemExit may be a user's own code that calls `sys.exit`."""


def main() -> int:
    """Run `edgectl` with the process's own arguments; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A label that the terminal's encoding lacks is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("EDGECTL_DEBUG") != "1":
        # gRPC's own log would stand beside the one line of an error. Read when gRPC is first imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    signal.signal(signal.SIGTERM, _end)
    return run(sys.argv[1:], environ=os.environ)


def _end(number: int, _frame: object) -> None:
    # Unwinds the stack, so that agents that were started and folders that were made go too.
    raise Terminated(128 + number)


def run(arguments: Sequence[str], *, environ: Mapping[str, str]) -> int:
    """Run one command line.

    Returns:
        The exit code (`edgectl_protos.errors.ExitCode`). Errors have been printed: a line on stderr, and an object on
        stdout where the command line asks for JSON.
    """
    try:
        result = edgectl.main(args=list(arguments), prog_name="edgectl", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return int(ExitCode.ERROR)
    except SystemExit as stop:  # SIGTERM, and click's own answer to a closed pipe
        return stop.code if isinstance(stop.code, int) else int(ExitCode.ERROR)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort: every failure becomes a line
        if environ.get("EDGECTL_DEBUG") == "1":
            traceback.print_exc()
        return _report(describe_failure(error), json_wanted=wants_json(arguments))
    return result if isinstance(result, int) else int(ExitCode.DONE)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON: read from its words, since a line that cannot be parsed is an error too."""
    style = ""
    for word, following in itertools.pairwise([*arguments, ""]):
        if word in {"-o", "--output"}:
            style = following
        elif word.startswith("--output="):
            style = word.removeprefix("--output=")
        elif word.startswith("-o") and not word.startswith("--"):
            style = word.removeprefix("-o")
    return style == "json"


def _report(failure: Failure, *, json_wanted: bool) -> int:
    try:
        if json_wanted:
            # One line for every command: a stream of results has one for each.
            sys.stdout.write(json_text(failure.document, indent=None) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
    sys.stderr.write(failure.line + "\n")
    return failure.exit_code


def _abandon_stdout() -> None:
    # The interpreter flushes stdout once more as it ends; without a reader that would print a traceback.
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), sys.stdout.fileno())


def _print_version(context: click.Context) -> None:
    click.echo(f"edgectl {__version__}")
    context.exit()
