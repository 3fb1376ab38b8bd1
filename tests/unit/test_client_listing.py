# SPDX-License-Identifier: Apache-2.0
"""The listing that the agent writes and applications read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edgectl_agent.runner.listing import ModelListing, parse_listing, serialize_listing
from edgectl_protos.errors import ProtocolError
from edgectl_protos.tensors import TensorSpec

_LISTING = ModelListing(
    name="digits",
    version="1.2",
    digest="ab" * 32,
    inputs=(TensorSpec("float32", (1, 1, 8, 8)), TensorSpec("int64", ())),
    outputs=(TensorSpec("float32", (1, 10)),),
    serving_since_ns=12345678901234,
)


def test_a_listing_comes_back_as_it_was_written() -> None:
    assert parse_listing(serialize_listing(_LISTING)) == _LISTING


def test_keys_of_a_later_version_are_passed_over() -> None:
    document = json.loads(serialize_listing(_LISTING)) | {"labels": ["a"]}
    assert parse_listing(json.dumps(document).encode()) == _LISTING


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"name": "../x"},
        {"name": 3},
        {"inputs": 3},
        {"inputs": [{"dtype": "complex64", "shape": []}]},
        {"inputs": [{"dtype": "float32", "shape": [-1]}]},
        {"inputs": [{"dtype": "float32", "shape": [1] * 17}]},
        {"outputs": [[]]},
        {"serving_since_ns": "soon"},
    ],
    ids=str,
)
def test_a_wrong_field_is_a_protocol_error(change: dict[str, Any]) -> None:
    document = json.loads(serialize_listing(_LISTING)) | change
    with pytest.raises(ProtocolError):
        parse_listing(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 1}',
        serialize_listing(_LISTING) + b" " * (1 << 20),
    ],
    ids=len,
)
def test_what_is_no_listing_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_listing(data)
