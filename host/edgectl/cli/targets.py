# SPDX-License-Identifier: Apache-2.0
"""`edgectl targets`: the classes of devices a model can be lowered for."""

from __future__ import annotations

import dataclasses

import click

from edgectl.cli.groups import NamedGroup
from edgectl.cli.options import output_option
from edgectl.cli.output import Output, Table


@click.group(cls=NamedGroup)
def targets() -> None:
    """Show the targets a model can be lowered for."""


@targets.command("list")
@output_option
def list_targets(output: Output) -> None:
    """List the targets that ship with edgectl."""
    from edgectl.targets.profiles import load_target, target_names

    known = [load_target(name) for name in target_names()]
    output.show(
        [dataclasses.asdict(target) for target in known],
        Table(
            ("name", "runs on", "description"),
            tuple((target.name, ", ".join(target.architectures), target.description) for target in known),
        ),
    )
