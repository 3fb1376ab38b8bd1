# SPDX-License-Identifier: Apache-2.0
"""What applications on the board read about a model that serves: written by the agent beside the model's socket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edgectl_protos.errors import EdgectlError, ProtocolError
from edgectl_protos.tensors import TensorSpec
from edgectl_protos.topics import check_name

LISTING_SUFFIX = ".json"
SOCKET_SUFFIX = ".sock"
MAX_LISTING_BYTES = 1 << 20

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ModelListing:
    """A model that serves; `digest` is its bundle's.

    `serving_since_ns` (CLOCK_MONOTONIC) differs whenever the agent put another runner in place, whatever its bundle.
    """

    name: str
    version: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    serving_since_ns: int


def serialize_listing(listing: ModelListing) -> bytes:
    """UTF-8 JSON as docs/local-inference.md has it."""
    document = {
        "format": _FORMAT,
        "name": listing.name,
        "version": listing.version,
        "digest": listing.digest,
        "inputs": [{"dtype": spec.dtype, "shape": list(spec.shape)} for spec in listing.inputs],
        "outputs": [{"dtype": spec.dtype, "shape": list(spec.shape)} for spec in listing.outputs],
        "serving_since_ns": listing.serving_since_ns,
    }
    return json.dumps(document).encode() + b"\n"


def parse_listing(data: bytes) -> ModelListing:
    """The listing in `data`; keys it does not know are passed over.

    Raises:
        ProtocolError: it is too long, damaged, or of another format.
    """
    try:
        document: Any = json.loads(data) if len(data) <= MAX_LISTING_BYTES else None
        if document["format"] != _FORMAT:
            raise ProtocolError(
                f"a listing of format {document['format']!r}", expected=str(_FORMAT), action="update the client"
            )
        return ModelListing(
            name=check_name(document["name"], what="model name"),
            version=str(document["version"]),
            digest=str(document["digest"]),
            inputs=tuple(_spec(entry) for entry in document["inputs"]),
            outputs=tuple(_spec(entry) for entry in document["outputs"]),
            serving_since_ns=int(document["serving_since_ns"]),
        )
    except ProtocolError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, EdgectlError) as error:
        raise ProtocolError(
            f"a listing that begins with {data[:60]!r} ({error!r})",
            expected="what the agent writes, docs/local-inference.md",
            action="check that the folder is the agent's folder of sockets",
        ) from error


def _spec(entry: Any) -> TensorSpec:
    return TensorSpec(str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
