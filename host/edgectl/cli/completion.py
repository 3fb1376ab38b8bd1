# SPDX-License-Identifier: Apache-2.0
"""`edgectl completion SHELL`: the script that gives a shell completion of commands, options and device names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from edgectl.cli.options import output_option
from edgectl.cli.output import Output

_VARIABLE = "_EDGECTL_COMPLETE"


@click.command(epilog="For example: edgectl completion bash > ~/.local/share/bash-completion/completions/edgectl")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output_option
@click.pass_context
def completion(context: click.Context, shell: str, output: Output) -> None:
    """Print the completion script of a shell."""
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"this version of click has no completion for {shell}", context)
    root = context.find_root()
    # The template alone: `source()` would first start the shell to ask its version, and the shell may be elsewhere.
    completer = script(root.command, {}, "edgectl", _VARIABLE)
    text = completer.source_template % completer.source_vars()
    output.show({"shell": shell, "script": text}, text)
