# SPDX-License-Identifier: Apache-2.0
"""`edgectl lower package.module:function`: a model as it is, with no training, to a bundle."""

from __future__ import annotations

from pathlib import Path

import click
from edgectl_protos.errors import UsageError

from edgectl.cli.compress import run_recipe, show_run
from edgectl.cli.options import on_option, output_option, require_extra
from edgectl.cli.output import Output

_WORDS = {"true": True, "false": False}


@click.command("lower")
@click.argument("model", metavar="PACKAGE.MODULE:FUNCTION")
@click.option("--data", required=True, metavar="PACKAGE.MODULE:FUNCTION", help="Where test items come from.")
@click.option("--name", required=True, help="Of the model, as devices will know it.")
@click.option("--target", default="generic", show_default=True, help="See 'edgectl targets list'.")
@click.option("--argument", "arguments", multiple=True, metavar="NAME=VALUE", help="For the model's function.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of its weights.")
@on_option(required=False)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results [default: the name].")
@output_option
def lower(
    *,
    model: str,
    data: str,
    name: str,
    target: str,
    arguments: tuple[str, ...],
    seed: int,
    device_name: str | None,
    out: Path | None,
    output: Output,
) -> None:
    """Lower a model as it is to a bundle.

    The function returns a torch.nn.Module, trained already where that matters; the data give its input's shape, its
    accuracy, golden cases and labels. With --on, the program is timed on the device (short protocol), or on an emulated
    board its instructions are counted.
    """
    require_extra("compile")
    from edgectl.compress.recipe import Recipe

    recipe = Recipe(
        name=name,
        model=model,
        data=data,
        stages=(),
        seed=seed,
        target=target,
        model_arguments=parse_arguments(arguments),
    )
    show_run(run_recipe(recipe, out or Path(name), device_name, None), output)


def parse_arguments(words: tuple[str, ...]) -> dict[str, int | float | str | bool]:
    """Arguments for a function from `NAME=VALUE`: whole numbers, numbers, true and false, else text.

    Raises:
        UsageError: a word is no NAME=VALUE, or a name comes twice.
    """
    values: dict[str, int | float | str | bool] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not separator or not name.isidentifier():
            raise UsageError(f"--argument {word[:80]!r}", expected="NAME=VALUE", action="write it like width=16")
        if name in values:
            raise UsageError(f"--argument {name} twice", expected="it once", action="leave one out")
        values[name] = _value(text)
    return values


def _value(text: str) -> int | float | str | bool:
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
