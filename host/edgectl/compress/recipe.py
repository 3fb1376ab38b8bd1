# SPDX-License-Identifier: Apache-2.0
"""A recipe is data: which model, which data, which stages. Parsing checks it before anything expensive. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from edgectl_protos.errors import UsageError
from edgectl_protos.spelling import describe_known

from edgectl.compress.bounded_yaml import MAXIMUM_BYTES, Document, parse_bounded_yaml
from edgectl.compress.bounded_yaml import Path as DocumentPath
from edgectl.compress.legality import check_legality
from edgectl.compress.rules import Accepted, Whole
from edgectl.compress.stages import STAGE_KINDS, Stage, StageParameters, name_stages, stage_document, stage_rules

Argument: TypeAlias = int | float | str | bool
VERSION = 1
MAXIMUM_STAGES = 64
MAXIMUM_NAME = 57  # "-stage" is added to it, and a bundle takes 63
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAXIMUM_NAME - 1}}}")
_ENTRY_POINT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_SEED = Whole(0, 2**31 - 1)
_REQUIRED = ("version", "name", "model", "data", "stages")
_KEYS = (*_REQUIRED, "model_arguments", "seed", "target")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make of a model; `model` and `data` are `package.module:function` entry points."""

    name: str
    model: str
    data: str
    stages: tuple[Stage, ...]
    seed: int = 0
    target: str = "generic"
    model_arguments: Mapping[str, Argument] = field(default_factory=dict)


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
    root = _mapping(document, (), document.value, known=_KEYS, required=_REQUIRED)
    if root["version"] != VERSION or isinstance(root["version"], bool):
        raise _wrong(document, ("version",), root["version"], f"{VERSION}")
    seed = _SEED.accept(root.get("seed", 0))
    if seed is None:
        raise _wrong(document, ("seed",), root["seed"], _SEED.expected)
    return Recipe(
        name=_text(document, "name", root["name"], _NAME, f"letters, digits, - and _, at most {MAXIMUM_NAME}"),
        model=_text(document, "model", root["model"], _ENTRY_POINT, "package.module:function"),
        data=_text(document, "data", root["data"], _ENTRY_POINT, "package.module:function"),
        stages=_stages(document, root["stages"]),
        seed=seed,
        target=_target(document, root.get("target", "generic")),
        model_arguments=_arguments(document, root.get("model_arguments", {})),
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
    return lines


def _stages(document: Document, value: object) -> tuple[Stage, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAXIMUM_STAGES:
        raise _wrong(document, ("stages",), value, f"a list of 1 to {MAXIMUM_STAGES} stages")
    stages = name_stages([_stage(document, ("stages", index), item) for index, item in enumerate(value)])
    check_legality(stages, place=document.place(("stages",)))
    return stages


def _stage(document: Document, path: DocumentPath, value: object) -> StageParameters:
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise _wrong(document, path, value, "one stage, as `- prune: {macs: 0.5}`")
    (kind, body), *_ = value.items()
    if kind not in STAGE_KINDS:
        raise UsageError(f"{document.place(path)}: unknown stage {kind!r}", expected=describe_known(kind, STAGE_KINDS))
    here, made = (*path, kind), STAGE_KINDS[kind]
    rules = stage_rules(made)
    accepted: dict[str, Accepted] = {}
    for key, item in _mapping(document, here, {} if body is None else body, known=tuple(rules), required=()).items():
        legal = rules[key].accept(item)
        if legal is None:
            raise _wrong(document, (*here, key), item, rules[key].expected)
        accepted[key] = legal
    given = [name for name in made.exactly_one if name in accepted]
    if made.exactly_one and len(given) != 1:
        raise UsageError(
            f"{document.place(here)}: {_dotted(here)} gives {' and '.join(given) or 'none'} of "
            f"{', '.join(made.exactly_one)}",
            expected="exactly one of them",
        )
    return made(**accepted)  # type: ignore[arg-type]  # each value passed its field's rule


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


def _text(document: Document, key: str, value: object, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(document, (key,), value, expected)
    return value


def _target(document: Document, value: object) -> str:
    from edgectl.targets import target_names

    names = target_names()
    if not isinstance(value, str):
        raise _wrong(document, ("target",), value, f"one of {', '.join(names)}")
    if value not in names:
        raise UsageError(
            f"{document.place(('target',))}: unknown target {value!r}", expected=describe_known(value, names)
        )
    return value


def _arguments(document: Document, value: object) -> dict[str, Argument]:
    path: DocumentPath = ("model_arguments",)
    if not isinstance(value, dict):
        raise _wrong(document, path, value, "a mapping of names to numbers, texts or booleans")
    arguments: dict[str, Argument] = {}
    for key, item in value.items():
        if not key.isidentifier() or not isinstance(item, bool | int | float | str):
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
