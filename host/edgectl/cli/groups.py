# SPDX-License-Identifier: Apache-2.0
"""Groups of commands: an unknown name is answered with the nearest known one, and a lazy group imports a command's
module only when that command runs, so that help and completion of the whole cost nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem
from edgectl_protos.errors import ExitCode, UsageError
from edgectl_protos.spelling import suggestion


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """Where a command lives, and the line help shows for it."""

    module: str
    attribute: str
    help: str


class NamedGroup(click.Group):
    """A group that names the nearest command when it is asked for one it does not have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(int(ExitCode.USAGE))
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            self._refuse(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        known = self.list_commands(ctx)
        raise UsageError(
            f"unknown command {f'{ctx.command_path} {name}'!r}",
            expected=f"one of {', '.join(known)}",
            action=suggestion(name, known, otherwise=f"see '{ctx.command_path} --help'"),
        )


class LazyGroup(NamedGroup):
    """A group over a static table; `entries` is in the order that help shows."""

    def __init__(self, *, entries: Mapping[str, CommandEntry], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.module}:{entry.attribute} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=entry.help)
            for name, entry in self._entries.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)
