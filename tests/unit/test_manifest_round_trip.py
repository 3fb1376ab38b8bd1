# SPDX-License-Identifier: Apache-2.0
"""The manifest is written canonically and read back whole; a device refuses what it cannot run."""

from __future__ import annotations

import dataclasses
import json

import pytest
from edgectl_protos.errors import IncompatibleBundleError
from edgectl_protos.manifest import (
    Budgets,
    GoldenCase,
    Manifest,
    Member,
    Requirements,
    Tolerance,
    check_device_fits,
    manifest_digest,
    parse_manifest,
    serialize_manifest,
)
from edgectl_protos.tensors import DTYPES, TensorSpec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.manifests import small_manifest

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
limits = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
specs = st.builds(TensorSpec, st.sampled_from(sorted(DTYPES)), st.lists(st.integers(0, 2**40), max_size=5).map(tuple))
members = st.builds(Member, st.from_regex(r"[0-9a-f]{64}", fullmatch=True), st.integers(0, 2**31))
budgets = st.builds(Budgets, st.none() | limits, st.none() | st.integers(0, 2**40))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | limits | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    inputs = tuple(draw(st.lists(specs, min_size=1, max_size=3)))
    outputs = tuple(draw(st.lists(specs, min_size=1, max_size=3)))
    golden = tuple(
        GoldenCase(
            tuple(f"golden/{case}/input_{place}.npy" for place in range(len(inputs))),
            tuple(f"golden/{case}/output_{place}.npy" for place in range(len(outputs))),
        )
        for case in range(draw(st.integers(0, 3)))
    )
    paths = ["model.pte", *(path for case in golden for path in case.inputs + case.outputs)]
    texts_tuple = st.lists(texts, max_size=3).map(tuple)
    return Manifest(
        name=draw(names),
        version=draw(names),
        members={path: draw(members) for path in paths},
        inputs=inputs,
        outputs=outputs,
        requirements=draw(st.builds(Requirements, texts, texts_tuple, texts_tuple)),
        golden=golden,
        tolerance=draw(st.builds(Tolerance, limits, limits)),
        delegated_fraction=draw(st.floats(0, 1)),
        undelegated=draw(texts_tuple),
        labels=draw(texts_tuple),
        budgets=draw(budgets),
        provenance=draw(st.dictionaries(texts, json_values, max_size=3)),
    )


@given(manifest=manifests())
@settings(max_examples=150, deadline=None)
def test_manifest_is_read_back_as_it_was_written(manifest: Manifest) -> None:
    data = serialize_manifest(manifest)
    parsed = parse_manifest(data)
    assert parsed == manifest
    assert serialize_manifest(parsed) == data


def test_equal_manifests_give_equal_bytes_whatever_the_order_of_their_members() -> None:
    manifest = small_manifest()
    turned = dataclasses.replace(manifest, members=dict(reversed(manifest.members.items())))
    assert list(turned.members) != list(manifest.members)
    assert serialize_manifest(turned) == serialize_manifest(manifest)


def test_digest_moves_with_every_field() -> None:
    manifest = small_manifest()
    changed = {
        "name": "other",
        "version": "2",
        "members": {**manifest.members, "labels.txt": Member("0" * 64, 1)},
        "inputs": (TensorSpec("float32", (1, 3)),),
        "outputs": (TensorSpec("int8", (1, 2)),),
        "requirements": Requirements("executorch 1.6.0", ("x86_64",), ()),
        "golden": (),
        "tolerance": Tolerance(0.0, 0.0),
        "delegated_fraction": 0.5,
        "undelegated": ("aten.sin.default",),
        "labels": (),
        "budgets": Budgets(p95_ms=20.0),
        "provenance": {},
    }
    assert set(changed) == {field.name for field in dataclasses.fields(Manifest)}
    variants = [dataclasses.replace(manifest, **{key: value}) for key, value in changed.items()]  # type: ignore[arg-type]
    digests = {manifest_digest(serialize_manifest(variant)) for variant in [manifest, *variants]}
    assert len(digests) == len(changed) + 1


def test_manifest_is_ascii_json_on_one_line() -> None:
    data = serialize_manifest(dataclasses.replace(small_manifest(), labels=("zéro", "うん")))
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert json.loads(data)["labels"] == ["zéro", "うん"]


@pytest.mark.parametrize("runtime", ["executorch 1.5.1", "executorch 1.5.9"])
def test_device_with_the_same_minor_runtime_fits(runtime: str) -> None:
    check_device_fits(small_manifest(), runtime=runtime, architecture="aarch64", delegates=("Other", "XnnpackBackend"))


@pytest.mark.parametrize(
    ("runtime", "architecture", "delegates", "said"),
    [
        ("executorch 1.6.1", "x86_64", ("XnnpackBackend",), "lowered for executorch 1.5.1"),
        ("executorch 2.5.1", "x86_64", ("XnnpackBackend",), "expected executorch 2.5.1"),
        ("other 1.5.1", "x86_64", ("XnnpackBackend",), "expected other 1.5.1"),
        ("executorch 1.5.1", "riscv64", ("XnnpackBackend",), "expected riscv64"),
        ("executorch 1.5.1", "x86_64", (), "needs the delegate XnnpackBackend"),
    ],
)
def test_device_that_differs_is_refused(runtime: str, architecture: str, delegates: tuple[str, ...], said: str) -> None:
    with pytest.raises(IncompatibleBundleError, match=said):
        check_device_fits(small_manifest(), runtime=runtime, architecture=architecture, delegates=delegates)
