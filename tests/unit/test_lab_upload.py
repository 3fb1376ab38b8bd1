# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from edgectl.lab.upload import CHUNK_BYTES, BundleUpload
from edgectl_protos.errors import BundleError

from tests.manifests import small_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of more than two chunks: a zip may begin with other bytes."""
    path = tmp_path / "net-1.0.edge"
    small_bundle(path)
    path.write_bytes(b"\0" * (2 * CHUNK_BYTES) + path.read_bytes())
    return path


@pytest.fixture
def upload(bundle: Path) -> Iterator[BundleUpload]:
    upload = BundleUpload(bundle, None)
    yield upload
    upload.close()


def test_the_header_comes_first_and_the_chunks_make_the_file(bundle: Path, upload: BundleUpload) -> None:
    header, *chunks = upload.messages()
    assert (header.header.digest, header.header.bytes) == (upload.info.digest, bundle.stat().st_size)
    assert b"".join(chunk.data for chunk in chunks) == bundle.read_bytes()
    assert max(len(chunk.data) for chunk in chunks) == CHUNK_BYTES


def test_closing_ends_the_stream_in_its_middle(upload: BundleUpload) -> None:
    messages = upload.messages()
    next(messages)
    next(messages)
    upload.close()
    assert list(messages) == []
    assert upload.failure is None


def test_a_file_that_cannot_be_read_to_its_end_is_kept_as_the_cause(
    upload: BundleUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        closed = False

        def read(self, _size: int) -> bytes:
            raise OSError(5, "Input/output error")

    file = upload._file
    monkeypatch.setattr(upload, "_file", Failing())
    assert len(list(upload.messages())) == 1
    monkeypatch.setattr(upload, "_file", file)
    assert isinstance(upload.failure, BundleError)
    assert "Input/output error" in upload.failure.message
