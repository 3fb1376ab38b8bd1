# SPDX-License-Identifier: Apache-2.0
"""Options that commands share, and the check for an extra that is not installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from edgectl_protos.errors import StateError

from edgectl.cli.output import Output, OutputFormat

if TYPE_CHECKING:
    from edgectl.config import Paths

Command = TypeVar("Command", bound=Callable[..., Any])

OUTPUT_STYLES = [style.value for style in OutputFormat]

_EXTRAS = {
    "compile": ("torch", "torchao", "executorch"),
    "search": ("optuna", "matplotlib"),
    "demo": ("torch", "torchao", "executorch", "optuna", "matplotlib", "edgectl_agent", "amqtt", "sklearn", "jinja2"),
}


def complete_device(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: `local`, the names in the inventory, and the boards that can be emulated."""
    from edgectl.emulate.user_mode import emulated_names
    from edgectl.fleet.inventory import inventory_of

    names = ["local", *(device.name for device in inventory_of(current_paths()).devices()), *emulated_names()]
    return [name for name in names if name.startswith(incomplete)]


def on_option(*other_names: str, required: bool = True) -> Callable[[Command], Command]:
    """Add `--on DEVICE`, and `other_names` for it; the command gets a `device_name`."""
    return click.option(
        "--on",
        *other_names,
        "device_name",
        metavar="DEVICE",
        shell_complete=complete_device,
        required=required,
        help="A device of the inventory, 'local' for this machine, or 'emulated-pi4' and the like.",
    )


def output_option(command: Command) -> Command:
    """Add `-o/--output`; the command gets an `output: Output`."""
    return click.option(
        "-o",
        "--output",
        "output",
        type=click.Choice(OUTPUT_STYLES),
        callback=lambda context, _option, style: _output(style or context.find_root().params.get("output")),
        help="Form of the result on stdout.  [default: table]",
    )(command)


def current_paths() -> Paths:
    """Where edgectl keeps its files, by this process's environment."""
    from edgectl.config import paths_from_environment

    return paths_from_environment(os.environ)


def require_extra(extra: str) -> None:
    """Refuse to go on without the packages of an extra.

    Raises:
        StateError: one is not installed; it names the line that installs it.
    """
    missing = [name for name in _EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise StateError(
            f"{', '.join(missing)} not installed",
            expected=f"the packages of the extra {extra!r}",
            action=f"pip install 'edgectl[{extra}]'",
        )


def _output(style: str | None) -> Output:
    return Output(sys.stdout, style=OutputFormat(style or OutputFormat.TABLE), terminal=sys.stdout.isatty())
