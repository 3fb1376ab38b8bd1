# SPDX-License-Identifier: Apache-2.0
"""`edgectl lower package.module:function`: a model as it is, with no training, to a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from edgectl_protos.errors import UsageError

from edgectl.cli.compress import run_recipe, show_run
from edgectl.cli.options import on_option, output_option, require_extra
from edgectl.cli.output import Output

if TYPE_CHECKING:
    from edgectl.compress.recipe import Recipe
    from edgectl.workflows.compress_run import CompressRun

_WORDS = {"true": True, "false": False}


@click.command("lower")
@click.argument("model", metavar="PACKAGE.MODULE:FUNCTION")
@click.option("--data", required=True, metavar="PACKAGE.MODULE:FUNCTION", help="Where test items come from.")
@click.option("--name", required=True, help="Of the model, as devices will know it.")
@click.option("--target", default="generic", show_default=True, help="See 'edgectl targets list'.")
@click.option("--argument", "arguments", multiple=True, metavar="NAME=VALUE", help="For the model's function.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of its weights.")
@click.option("--fail-on-fallback", is_flag=True, help="Refuse a program with operators outside the delegate.")
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
    fail_on_fallback: bool,
    device_name: str | None,
    out: Path | None,
    output: Output,
) -> None:
    """Lower a model as it is to a bundle.

    The function returns a torch.nn.Module, trained already where that matters; the data give its input's shape, its
    accuracy, golden cases and labels. With --on, the program is timed on the device (short protocol), or on an emulated
    board its instructions are counted. With --fail-on-fallback, operators outside the delegate are an error (exit code
    1) that names the first of them, its place and the reason, and nothing is written.
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
    folder = out or Path(name)
    run = (
        _delegated_run(recipe, folder, device_name)
        if fail_on_fallback
        else run_recipe(recipe, folder, device_name, None)
    )
    show_run(run, output)


def _delegated_run(recipe: Recipe, out: Path, device_name: str | None) -> CompressRun:
    """The run, whose files reach `out` only if its program is wholly in the delegate.

    Raises:
        UndelegatedError: it is not.
    """
    from edgectl.lower.entry import refuse_outside
    from edgectl.workflows.output_folder import output_folder

    with output_folder(out), TemporaryDirectory(dir=out, prefix=".edgectl-") as staging:
        run = run_recipe(recipe, Path(staging), device_name, None)
        refuse_outside(run.stages[-1].delegation)
        for file in sorted(Path(staging).iterdir()):
            file.replace(out / file.name)
    return replace(run, bundle=out / run.bundle.name, program=out / run.program.name)


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
