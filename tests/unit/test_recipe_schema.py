# SPDX-License-Identifier: Apache-2.0
"""The published schema and the parser take the same recipes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from edgectl.compress.bounded_yaml import parse_bounded_yaml
from edgectl.compress.goals import Goal
from edgectl.compress.recipe import FIELDS, recipe_of
from edgectl.compress.recipe_schema import published_schema, recipe_schema
from edgectl.compress.stages import STAGE_KINDS, stage_rules
from edgectl_protos.errors import UsageError
from hypothesis import example, given, settings
from hypothesis import strategies as st

VALIDATOR = jsonschema.Draft202012Validator(recipe_schema())
GOOD: dict[str, Any] = {
    "version": 1,
    "name": "n",
    "model": "a.b:c",
    "data": "d:e",
    "stages": [{"prune": {"macs": 0.5}}],
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([10**400, 2.0, 0.5, 1e-3, -1.0, 0.0, 1.0, 1e300, 10_000, 10_001, 65_537]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["macs", "adamw", "int8", "fp16", "float", "global", "2:4", "re:.*", "a.b", "", "x\n", "pi4", "1e5"]
    ),
    st.text(max_size=4),
)
NAMES = sorted({name for made in (*STAGE_KINDS.values(), Goal) for name in stage_rules(made)})
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)


def values_of(made: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly the class's own fields, so that many are right."""
    own = st.sampled_from(sorted(stage_rules(made)))
    return st.dictionaries(own | st.sampled_from(NAMES), VALUES, max_size=3)


STAGES = st.one_of(
    st.sampled_from([*STAGE_KINDS, "prnue"]),
    VALUES,
    *(st.fixed_dictionaries({kind: st.none() | values_of(made) | VALUES}) for kind, made in STAGE_KINDS.items()),
    st.just({"prune": {"macs": 0.5}, "quantize": {}}),
)
CHANGES = st.one_of(
    st.fixed_dictionaries({"stages": st.lists(STAGES, max_size=3) | VALUES}),
    st.fixed_dictionaries({"goals": st.lists(values_of(Goal) | VALUES, max_size=2) | VALUES}),
    st.dictionaries(st.sampled_from(["version", *FIELDS, "model_arguments", "unknown"]), VALUES, max_size=3),
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["hf:x", "hf:", "a:b", "a.b:c\n", "a b:c", "é:x"]),
            "data": st.sampled_from(["folder:x"]),
        }
    ),
)


def parser_takes(document: dict[str, Any]) -> bool:
    try:
        recipe_of(parse_bounded_yaml(json.dumps(document), source="r.yaml"))
    except UsageError:
        return False
    return True


@given(CHANGES)
@settings(max_examples=600, deadline=None)
@example({"seed": 2.0})
@example({"name": "n\n"})
@example({"stages": [{"finetune": {"epochs": 3.0, "targets": "a"}}]})
@example({"stages": [{"prune": None}]})
@example({"stages": ["prune"]})
@example({"stages": [{"quantize": {"overrides": {"a": "int9"}}}]})
@example({"goals": [{"metric": "accuracy", "threshold": 0.5}, {"metric": "p95_ms"}]})
def test_schema_and_parser_take_the_same_recipes(changes: dict[str, Any]) -> None:
    document = {**GOOD, **changes}
    assert parser_takes(document) == VALIDATOR.is_valid(document)


def test_missing_keys_are_refused_by_both() -> None:
    for key in GOOD:
        document = {name: value for name, value in GOOD.items() if name != key}
        assert not parser_takes(document)
        assert not VALIDATOR.is_valid(document)


def test_published_file_is_what_the_rules_say() -> None:
    assert json.loads(published_schema()) == recipe_schema()
    jsonschema.Draft202012Validator.check_schema(recipe_schema())
