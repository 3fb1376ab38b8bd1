# SPDX-License-Identifier: Apache-2.0
"""Hostile manifests: each is a BundleError with one line, never another exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edgectl_protos.errors import BundleError, IncompatibleBundleError
from edgectl_protos.manifest import MAX_GOLDEN_CASES, MAX_MANIFEST_BYTES, parse_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.manifests import small_document


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"a":' * 100_000,
        b"[" * 500_000,
        b'{"schema_version":' + b"9" * 5000 + b"}",
        b'{"schema_version":NaN}',
        b'{"schema_version":1,"schema_version":1}',
        b'{"schema_version":true}',
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError) as caught:
        parse_manifest(data)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "1e999", "-0.5", "1" + "0" * 400, "null", "true", '"1"']
)
@pytest.mark.parametrize("place", [("tolerance", "absolute"), ("tolerance", "relative"), ("delegated_fraction",)])
def test_number_that_is_no_limit_is_refused(place: tuple[str, ...], literal: str) -> None:
    document = small_document()
    set_at(document, place, "HERE")
    with pytest.raises(BundleError):
        parse_manifest(encoded(document).replace(b'"HERE"', literal.encode()))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-1", "1e999", "[]", "true", '"20"'])
@pytest.mark.parametrize("key", ["p95_ms", "peak_rss_bytes"])
def test_budget_that_is_no_budget_is_refused(key: str, literal: str) -> None:
    document = small_document()
    document["budgets"][key] = "HERE"
    with pytest.raises(BundleError):
        parse_manifest(encoded(document).replace(b'"HERE"', literal.encode()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("delegated_fraction",), 1.5),
        (("name",), "../up"),
        (("name",), ""),
        (("name",), "n" * 64),
        (("version",), "1\n"),
        (("labels",), ["ok", 3]),
        (("labels",), ["two\nlines"]),
        (("labels",), ["\ud800"]),
        (("labels",), ["x" * 1001]),
        (("requirements", "runtime"), "executorch\x1b[2J"),
        (("requirements", "architectures"), "x86_64"),
        (("members",), []),
        (("members",), {}),
        (("members", "model.pte"), None),
        (("members", "model.pte", "sha256"), "A" * 64),
        (("members", "model.pte", "bytes"), -1),
        (("members", "model.pte", "bytes"), 1.0),
        (("members", "model.pte", "bytes"), True),
        (("members", "manifest.json"), {"sha256": "0" * 64, "bytes": 1}),
        (("members", "golden"), {"sha256": "0" * 64, "bytes": 1}),
        (("members", "m" * 201), {"sha256": "0" * 64, "bytes": 1}),
        (("inputs",), [{"dtype": "float8", "shape": [1]}]),
        (("inputs",), [{"dtype": "float32", "shape": [-1]}]),
        (("inputs",), [{"dtype": "float32", "shape": [True]}]),
        (("inputs",), [{"dtype": "float32", "shape": [1] * 17}]),
        (("inputs",), []),
        (("golden",), [{"inputs": ["absent.npy"], "outputs": ["golden/0/output_0.npy"]}]),
        (("golden",), [{"inputs": [], "outputs": []}]),
        (("golden",), [{"inputs": ["model.pte"], "outputs": ["model.pte"]}] * (MAX_GOLDEN_CASES + 1)),
        (("provenance",), "text"),
        (("provenance",), None),
    ],
)
def test_field_that_is_wrong_is_refused(place: tuple[str, ...], value: object) -> None:
    document = small_document()
    set_at(document, place, value)
    with pytest.raises(BundleError) as caught:
        parse_manifest(encoded(document))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("key", sorted(small_document()))
def test_field_that_is_missing_is_refused(key: str) -> None:
    document = small_document()
    del document[key]
    with pytest.raises(BundleError):
        parse_manifest(encoded(document))


def test_key_given_twice_is_refused() -> None:
    data = encoded(small_document())
    with pytest.raises(BundleError, match="twice"):
        parse_manifest(data.replace(b'{"', b'{"version": "2", "', 1))


def test_other_schema_version_is_incompatible_not_damaged() -> None:
    document = small_document()
    document["schema_version"] = 2
    with pytest.raises(IncompatibleBundleError, match="schema version 2"):
        parse_manifest(encoded(document))


def test_unknown_fields_are_tolerated() -> None:
    document = small_document()
    document["of_a_later_version"] = {"a": 1}
    assert parse_manifest(encoded(document)) == parse_manifest(encoded(small_document()))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(small_document())), value=json_values)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_field_parses_or_is_refused(key: str, value: object) -> None:
    document = small_document()
    document[key] = value
    try:
        parse_manifest(encoded(document))
    except BundleError:
        return


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        parse_manifest(data)


def set_at(document: dict[str, Any], place: tuple[str, ...], value: object) -> None:
    *parents, last = place
    for key in parents:
        document = document[key]
    document[last] = value
