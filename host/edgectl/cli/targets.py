# SPDX-License-Identifier: Apache-2.0
"""`edgectl targets`: the classes of devices a model can be lowered for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from edgectl.cli.groups import NamedGroup
from edgectl.cli.options import output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.text import size_text

if TYPE_CHECKING:
    from edgectl.targets import Target

_UNKNOWN = "-"


class _ListingGroup(NamedGroup):
    """A group that lists where no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if bare and not ctx.resilient_parsing else args)


def complete_target(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the names of the targets."""
    from edgectl.targets import target_names

    return [name for name in target_names() if name.startswith(incomplete)]


@click.group(cls=_ListingGroup)
def targets() -> None:
    """Show the targets a model can be lowered for.

    Without a command, they are listed.
    """


@targets.command("list")
@output_option
def list_targets(output: Output) -> None:
    """List the targets that ship with edgectl."""
    from edgectl.targets import load_target, target_names

    known = [load_target(name) for name in target_names()]
    output.show(
        [_document(target) for target in known],
        Table(("name", "runs on", "processor", ">memory", ">for a program", "description"), tuple(map(_row, known))),
    )


@targets.command("show")
@click.argument("name", shell_complete=complete_target)
@output_option
def show(name: str, output: Output) -> None:
    """Show all that is known of a target."""
    from edgectl.targets import load_target

    target = load_target(name)
    output.show(
        _document(target),
        Table(("fact", "value"), _facts(target)),
        Table(
            ("cannot run", "because"),
            tuple((limitation.what, limitation.reason) for limitation in target.cannot_run),
            empty="nothing is known that it cannot run",
        ),
    )


def _row(target: Target) -> tuple[str, ...]:
    return (
        target.name,
        ", ".join(target.architectures),
        "any" if target.processor is None else f"{target.processor.cores} x {target.processor.core}",
        _size(target.memory_bytes),
        _size(target.available_bytes),
        target.description,
    )


def _facts(target: Target) -> tuple[tuple[str, str], ...]:
    common = (
        ("target", target.name),
        ("description", target.description),
        ("runs on", ", ".join(target.architectures)),
    )
    if target.processor is None:
        return common
    processor = target.processor
    return (
        *common,
        ("board", target.board),
        ("processor", f"{processor.cores} x {processor.core}, {processor.frequency_mhz} MHz"),
        ("features", " ".join(processor.features)),
        ("int8 dot product", "yes" if target.int8_dot_product else "no"),
        ("half-precision arithmetic", "yes" if target.fp16_arithmetic else "no"),
        ("memory", f"{_size(target.memory_bytes)} (the smallest variant)"),
        ("for a program", f"{_size(target.available_bytes)} beside the system and the agent"),
        ("threads", str(target.threads)),
    )


def _size(count: int) -> str:
    return size_text(count) if count else _UNKNOWN


def _document(target: Target) -> dict[str, Any]:
    return dataclasses.asdict(target) | {
        "int8_dot_product": target.int8_dot_product,
        "fp16_arithmetic": target.fp16_arithmetic,
    }
