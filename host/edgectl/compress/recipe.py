# SPDX-License-Identifier: Apache-2.0
"""A recipe is data: which model, which data, which stages. Parsing checks it before anything expensive. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

from edgectl.compress.bounded_yaml import MAXIMUM_BYTES, Document, parse_bounded_yaml
from edgectl.compress.bounded_yaml import Path as DocumentPath
from edgectl.compress.goals import Goal
from edgectl.compress.legality import check_legality
from edgectl.compress.rules import Rule, Text, Whole
from edgectl.compress.stages import (
    STAGE_KINDS,
    Checked,
    Stage,
    StageParameters,
    name_stages,
    stage_document,
    stage_rules,
)

Argument: TypeAlias = int | float | str | bool
VERSION = 1
MAXIMUM_STAGES = 64
MAXIMUM_NAME = 57  # "-stage" is added to it, and a bundle takes 63
MOST_GOALS = 32
HUGGING_FACE = "hf:"
FOLDER = "folder:"
_ENTRY_POINT = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*"
_PATH = r"[^\x00-\x1f]{1,1024}"
FIELDS: Mapping[str, Rule] = {
    "name": Text(
        rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAXIMUM_NAME - 1}}}", f"letters, digits, - and _, at most {MAXIMUM_NAME}"
    ),
    "model": Text(
        rf"{_ENTRY_POINT}|{HUGGING_FACE}{_PATH}",
        "package.module:function, or hf: and the path of a transformers model or its config.json",
    ),
    "data": Text(rf"{_ENTRY_POINT}|{FOLDER}{_PATH}", "package.module:function, or folder: and a path"),
    "seed": Whole(0, 2**31 - 1),
    "target": Text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "a target's name"),
}
MODEL_ARGUMENT_NAME = Text(r"[A-Za-z_][A-Za-z0-9_]*", "a name")
REQUIRED = ("version", "name", "model", "data", "stages")
_KEYS = (*REQUIRED, "model_arguments", "seed", "target", "goals")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make of a model; `model` and `data` are entry points, or `hf:` and `folder:` paths."""

    name: str
    model: str
    data: str
    stages: tuple[Stage, ...]
    seed: int = 0
    target: str = "generic"
    model_arguments: Mapping[str, Argument] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()


def load_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file.

    Raises:
        UsageError: the file cannot be read, or its content is not a legal recipe; names the place.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAXIMUM_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", expected="a YAML recipe") from error
    return parse_recipe(text, source=str(path))


def parse_recipe(text: str, *, source: str) -> Recipe:
    """The recipe in a YAML text; `source` names it in messages.

    Raises:
        UsageError: one message with the place, what was seen and what was expected.
    """
    document = parse_bounded_yaml(text, source=source)
    recipe = recipe_of(document)
    _check_target(document, recipe.target)
    check_legality(recipe.stages, place=document.place(("stages",)))
    return recipe


def recipe_of(document: Document) -> Recipe:
    """The recipe of a document whose form is right, which is what the published schema says too.

    Raises:
        UsageError: the form is not right.
    """
    root = _mapping(document, (), document.value, known=_KEYS, required=REQUIRED)
    if root["version"] != VERSION or isinstance(root["version"], bool):
        raise _wrong(document, ("version",), root["version"], f"{VERSION}")
    fields = {name: _ruled(document, (name,), root[name], rule) for name, rule in FIELDS.items() if name in root}
    return Recipe(
        **fields,
        stages=_stages(document, root["stages"]),
        model_arguments=_arguments(document, root.get("model_arguments", {})),
        goals=_goals(document, root.get("goals", [])),
    )


def recipe_document(recipe: Recipe) -> dict[str, object]:
    """The recipe as plain data, every default written out; dumped as YAML it parses back to the same recipe."""
    return {
        "version": VERSION,
        "name": recipe.name,
        "model": recipe.model,
        "model_arguments": dict(recipe.model_arguments),
        "data": recipe.data,
        "seed": recipe.seed,
        "target": recipe.target,
        "stages": [{stage.kind: stage_document(stage.parameters)} for stage in recipe.stages],
        **({"goals": [stage_document(goal) for goal in recipe.goals]} if recipe.goals else {}),
    }


def describe_plan(recipe: Recipe) -> list[str]:
    """The plan in lines of text: the model, the data, then each stage with its parameters."""
    arguments = ", ".join(f"{key}={value!r}" for key, value in recipe.model_arguments.items())
    lines = [
        f"recipe {recipe.name}: target {recipe.target}, seed {recipe.seed}",
        f"model {recipe.model}({arguments}), data {recipe.data}()",
    ]
    for index, stage in enumerate(recipe.stages, start=1):
        values = ", ".join(
            f"{key} {value}" for key, value in stage_document(stage.parameters).items() if value not in ([], {})
        )
        lines.append(f"{index}. {stage.name}: {values}")
    for goal in recipe.goals:
        values = ", ".join(f"{key} {value}" for key, value in stage_document(goal).items())
        lines.append(f"goal: {values}")
    return lines


def _stages(document: Document, value: object) -> tuple[Stage, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAXIMUM_STAGES:
        raise _wrong(document, ("stages",), value, f"a list of 1 to {MAXIMUM_STAGES} stages")
    return name_stages([_stage(document, ("stages", index), item) for index, item in enumerate(value)])


def _stage(document: Document, path: DocumentPath, value: object) -> StageParameters:
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise _wrong(document, path, value, "one stage, as `- prune: {macs: 0.5}`")
    (kind, body), *_ = value.items()
    if kind not in STAGE_KINDS:
        raise UsageError(f"{document.place(path)}: unknown stage {kind!r}", expected=describe_known(kind, STAGE_KINDS))
    made = STAGE_KINDS[kind]
    return made(**_accepted(document, (*path, kind), {} if body is None else body, made))


def _goals(document: Document, value: object) -> tuple[Goal, ...]:
    if not isinstance(value, list) or len(value) > MOST_GOALS:
        raise _wrong(document, ("goals",), value, f"a list of at most {MOST_GOALS} goals")
    paths: list[DocumentPath] = [("goals", index) for index in range(len(value))]
    return tuple(
        Goal(**_accepted(document, path, item, Goal, required=("metric",)))
        for path, item in zip(paths, value, strict=True)
    )


def _accepted(
    document: Document, path: DocumentPath, body: object, made: type[Checked], *, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values of a class's fields, each of which passed its rule."""
    rules = stage_rules(made)
    given = _mapping(document, path, body, known=tuple(rules), required=required)
    accepted = {key: _ruled(document, (*path, key), item, rules[key]) for key, item in given.items()}
    chosen = [name for name in made.exactly_one if name in accepted]
    if made.exactly_one and len(chosen) != 1:
        raise UsageError(
            f"{document.place(path)}: {_dotted(path)} gives {' and '.join(chosen) or 'none'} of "
            f"{', '.join(made.exactly_one)}",
            expected="exactly one of them",
        )
    return accepted


def _ruled(document: Document, path: DocumentPath, value: object, rule: Rule) -> Any:
    accepted = rule.accept(value)
    if accepted is None:
        raise _wrong(document, path, value, rule.expected)
    return accepted


def _mapping(
    document: Document, path: DocumentPath, value: object, *, known: tuple[str, ...], required: tuple[str, ...]
) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong(document, path, value, f"a mapping with {', '.join(required or known)}")
    for key in value:
        if key not in known:
            where = f" in {_dotted(path)}" if path else ""
            raise UsageError(
                f"{document.place((*path, key))}: unknown key {key!r}{where}", expected=describe_known(key, known)
            )
    for key in required:
        if key not in value:
            raise UsageError(f"{document.place(path)}: {_dotted((*path, key))} is missing", expected=f"the key {key!r}")
    return value


def _check_target(document: Document, value: str) -> None:
    from edgectl.targets import target_names

    names = target_names()
    if value not in names:
        raise UsageError(
            f"{document.place(('target',))}: unknown target {value!r}", expected=describe_known(value, names)
        )


def _arguments(document: Document, value: object) -> dict[str, Argument]:
    path: DocumentPath = ("model_arguments",)
    if not isinstance(value, dict):
        raise _wrong(document, path, value, "a mapping of names to numbers, texts or booleans")
    arguments: dict[str, Argument] = {}
    for key, item in value.items():
        if MODEL_ARGUMENT_NAME.accept(key) is None or not isinstance(item, bool | int | float | str):
            raise _wrong(document, (*path, key), item, "a name with a number, a text or a boolean")
        arguments[key] = item
    return arguments


def _wrong(document: Document, path: DocumentPath, value: object, expected: str) -> UsageError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    where = _dotted(path) or "the recipe"
    return UsageError(f"{document.place(path)}: {where} is {shown}", expected=expected)


def _dotted(path: DocumentPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
