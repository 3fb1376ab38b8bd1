# SPDX-License-Identifier: Apache-2.0
"""What the documentation shows is what the command line takes."""

from __future__ import annotations

import shlex

import click
import pytest
from edgectl.cli.main import edgectl

from tests.documented import ShownCommand, edgectl_commands

SHOWN = edgectl_commands()


def test_the_documentation_shows_commands() -> None:
    assert len(SHOWN) >= 10
    assert {command.page for command in SHOWN} >= {"README.md", "docs/cli.md", "docs/devices.md"}


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.page}: {shown.text}")
def test_a_shown_command_has_only_known_words_and_options(shown: ShownCommand) -> None:
    words = shlex.split(shown.text)[1:]
    command: click.Command = edgectl
    context = click.Context(edgectl, info_name="edgectl")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    assert rest == []
