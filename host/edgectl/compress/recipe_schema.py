# SPDX-License-Identifier: Apache-2.0
"""The recipe as JSON schema (draft 2020-12), made from the rules that the parser obeys. No torch.

`recipe.schema.json` beside this file is what it gives; a test holds the two together. Whether the stages may come in
their order, and whether a target exists, no schema says: the parser looks after the form.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from edgectl.compress.goals import Goal
from edgectl.compress.recipe import FIELDS, MAXIMUM_STAGES, MODEL_ARGUMENT_NAME, MOST_GOALS, REQUIRED, VERSION
from edgectl.compress.rules import Schema
from edgectl.compress.stages import STAGE_KINDS, Checked, stage_rules

SCHEMA_FILE = "recipe.schema.json"


def published_schema() -> str:
    """The schema as it ships, JSON text."""
    return resources.files("edgectl.compress").joinpath(SCHEMA_FILE).read_text("utf-8")


def recipe_schema() -> Schema:
    """The schema."""
    bare = [kind for kind, made in STAGE_KINDS.items() if not made.exactly_one]
    stage = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {kind: _parameters(made) for kind, made in STAGE_KINDS.items()},
    }
    properties: dict[str, Any] = {name: rule.schema() for name, rule in FIELDS.items()}
    properties |= {
        "version": {"const": VERSION},
        "stages": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAXIMUM_STAGES,
            "items": {"anyOf": [{"enum": bare}, stage]},
        },
        "model_arguments": {
            "type": "object",
            "propertyNames": MODEL_ARGUMENT_NAME.schema(),
            "additionalProperties": {"type": ["number", "string", "boolean"]},
        },
        "goals": {"type": "array", "maxItems": MOST_GOALS, "items": _goal()},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgectl recipe",
        "type": "object",
        "required": list(REQUIRED),
        "additionalProperties": False,
        "properties": properties,
    }


def _parameters(made: type[Checked]) -> Schema:
    schema: Schema = {
        "type": "object" if made.exactly_one else ["object", "null"],
        "additionalProperties": False,
        "properties": {name: rule.schema() for name, rule in stage_rules(made).items()},
    }
    if made.exactly_one:
        schema["oneOf"] = [{"required": [name]} for name in made.exactly_one]
    return schema


def _goal() -> Schema:
    schema = _parameters(Goal)
    schema["required"] = ["metric"]
    return schema
