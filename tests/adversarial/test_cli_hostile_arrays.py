# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from edgectl.cli.arrays import load_array, save_array
from edgectl_protos.errors import InputError, UsageError


class _Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def _npy_bytes(header: str) -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _object_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([_Payload()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros(3))
    return stream.getvalue()


HOSTILE = {
    "empty": b"",
    "text": b"these are no numbers",
    "pickle": pickle.dumps(_Payload()),
    "object_array": _object_array(),
    "npz": _npz(),
    "truncated": _npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n") + b"\0" * 8,
    "enormous": _npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }\n"),
    "overflowing": _npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n"),
    "negative": _npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }\n") + b"\0" * 16,
    "code_in_header": _npy_bytes("__import__('os').system('touch executed')\n"),
    "unknown_dtype": _npy_bytes("{'descr': 'nonsense', 'fortran_order': False, 'shape': (4,), }\n") + b"\0" * 16,
    "header_too_long": b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b"{",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_npy_is_refused_and_runs_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "input.npy"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(InputError, match=r"cannot be read as \.npy"):
        load_array(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["input.npy"]


def test_missing_file_and_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_array(tmp_path / "absent.npy")
    with pytest.raises(UsageError, match="Is a directory"):
        load_array(tmp_path)


def test_saved_array_comes_back(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_array(tmp_path / "output0.npy", array)
    assert np.array_equal(load_array(tmp_path / "output0.npy"), array)
    assert [entry.name for entry in tmp_path.iterdir()] == ["output0.npy"]


def test_array_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        save_array(tmp_path / "output0.npy", np.array([None]))
    assert list(tmp_path.iterdir()) == []
