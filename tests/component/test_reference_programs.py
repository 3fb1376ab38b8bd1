# SPDX-License-Identifier: Apache-2.0
"""The programs of `edgectl device report`: made once, kept, and made again where the file is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from edgectl.lower import reference_programs
from edgectl.lower.reference_programs import BUNDLE_NAME, REFERENCE_PROGRAMS, reference_bundles


@pytest.mark.parametrize("program", REFERENCE_PROGRAMS, ids=lambda program: program.name)
def test_each_program_has_a_model_that_takes_its_input(program: reference_programs.ReferenceProgram) -> None:
    module = reference_programs._MODULES[program.name]().eval()
    with torch.no_grad():
        output = module(torch.zeros(program.input_shape))
    assert output.shape[0] == 1
    assert 10_000 < sum(values.numel() for values in module.parameters()) < 1_000_000


def test_a_program_is_made_where_its_file_is_damaged_and_then_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_programs, "REFERENCE_PROGRAMS", REFERENCE_PROGRAMS[:1])
    path = tmp_path / "reference-programs" / reference_programs._made_from() / f"{BUNDLE_NAME}-cnn-fp32.edge"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 and then a full disk")
    said: list[str] = []
    (made,) = reference_bundles(tmp_path, say=said.append)
    assert len(said) == 1
    manifest = made.info.manifest
    assert (made.path, manifest.name, manifest.version) == (path, BUNDLE_NAME, "cnn-fp32")
    assert manifest.delegated_fraction == 1.0
    (kept,) = reference_bundles(tmp_path, say=said.append)
    assert (len(said), kept.info.digest) == (1, made.info.digest)
