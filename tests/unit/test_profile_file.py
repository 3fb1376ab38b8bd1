# SPDX-License-Identifier: Apache-2.0
"""A saved profile is read back as it was; anything else is refused in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from edgectl.cli.output import json_text
from edgectl.lab.profile import Profile, ProfiledCall, ProfiledOperator
from edgectl.lab.profile_file import parse_profile, read_profile
from edgectl_protos.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st

PROFILE = Profile(
    20,
    2,
    12.5,
    (
        ProfiledCall(0, "delegate", "XnnpackBackend", 10.0, (ProfiledOperator("Convolution #1", 8.0),)),
        ProfiledCall(3, "kernel", "aten::add.out", 1.5),
    ),
    "pi4",
    "a" * 64,
    {"device": {"cpu_model": "Cortex-A72"}, "evidence": {"temperature": {"unavailable": "no sensor"}}},
)
DOCUMENT = PROFILE.document()


def changed(**changes: Any) -> bytes:
    return json.dumps(DOCUMENT | changes).encode()


def refused(data: bytes) -> str:
    with pytest.raises(UsageError) as caught:
        parse_profile(data, source="old.json")
    assert "\n" not in caught.value.message
    return caught.value.message


def test_what_the_command_wrote_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json_text(DOCUMENT | {"difference": {"of": "an earlier comparison"}}))
    assert read_profile(path) == PROFILE


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"unit": "us", "runs": ' + b"9" * 5_000 + b"}", "is no JSON"),
        (b"null", "is JSON of something else"),
        (b"[]", "is JSON of something else"),
        (b'{"error": {"code": "state"}}', "is JSON of something else"),
        (changed(unit="ms"), "is JSON of something else"),
        (changed(unit=["us"]), "is JSON of something else"),
        (changed(runs="20"), "has no runs"),
        (changed(runs=True), "has no runs"),
        (changed(threads=-1), "has no threads"),
        (changed(execute_p50_us=0), "has no execute_p50_us"),
        (changed(execute_p50_us=math.nan), "has no execute_p50_us"),
        (changed(execute_p50_us=math.inf), "has no execute_p50_us"),
        (changed(execute_p50_us=10**400), "has no execute_p50_us"),
        (changed(device=None), "has no device"),
        (changed(bundle_digest=3), "has no bundle_digest"),
        (changed(provenance=[]), "has no provenance"),
        (changed(provenance=json.loads('{"a":' * 90 + "1" + "}" * 90)), "has no provenance"),
        (changed(calls={}), "has no calls "),
        (changed(calls=[{}]), r"has no calls[0].kind"),
        (changed(calls=[7]), r"has no calls[0].kind"),
        (changed(calls=[DOCUMENT["calls"][0] | {"kind": ["kernel"]}]), "has no calls[0].kind"),
        (changed(calls=[*DOCUMENT["calls"], DOCUMENT["calls"][0] | {"p50_us": -1}]), "has no calls[2].p50_us"),
        (changed(calls=[DOCUMENT["calls"][0] | {"index": 1.5}]), "has no calls[0].index"),
        (changed(calls=[DOCUMENT["calls"][0] | {"operators": None}]), "has no calls[0].operators "),
        (changed(calls=[DOCUMENT["calls"][0] | {"operators": [[]]}]), "has no calls[0].operators[0] "),
        (changed(calls=[DOCUMENT["calls"][0] | {"operators": [{"name": "x"}]}]), "calls[0].operators[0].p50_us"),
        (changed(calls=[DOCUMENT["calls"][1]] * 100_001), "has no calls "),
    ],
)
def test_what_is_no_profile_is_refused_with_the_place(data: bytes, said: str) -> None:
    message = refused(data)
    assert message.startswith("old.json ")
    assert said in message
    assert "edgectl profile MODEL --on DEVICE -o json" in message


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=said):
            read_profile(path)


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(UsageError, match="is longer than"):
        read_profile(Path("/dev/zero"))


def test_names_from_a_file_steer_no_terminal() -> None:
    call = DOCUMENT["calls"][1] | {"name": "\x1b[31mred\ud800\u202e"}
    found = parse_profile(changed(calls=[call], device="\x1b]0;x\x07"), source="old.json")
    assert found.calls[0].name.isprintable()
    assert found.device.isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*DOCUMENT, "name", "kind"]), inner),
    max_leaves=12,
)


@given(st.sampled_from(list(DOCUMENT)), json_values)
def test_any_value_in_any_place_is_a_profile_or_one_clear_error(key: str, value: Any) -> None:
    try:
        found = parse_profile(changed(**{key: value}), source="old.json")
    except UsageError:
        return
    found.document()
