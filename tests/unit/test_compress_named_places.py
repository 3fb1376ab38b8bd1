# SPDX-License-Identifier: Apache-2.0
"""Names and patterns against a model's own names."""

from __future__ import annotations

import pytest
from edgectl.compress.named_places import check_places, is_chosen
from edgectl_protos.errors import UsageError

NAMES = ("body.0.weight", "body.0.bias", "body.3.weight", "head.weight")


@pytest.mark.parametrize(
    ("targets", "exclude", "chosen"),
    [
        ((), (), NAMES),
        (("body",), (), NAMES[:3]),
        (("body.0",), (), NAMES[:2]),
        ((), ("head",), NAMES[:3]),
        (("re:.*weight",), ("body.3",), ("body.0.weight", "head.weight")),
        (("re:body\\.[0-9]",), (), NAMES[:3]),
        (("re:bod",), (), ()),
    ],
)
def test_names_and_patterns_choose(targets: tuple[str, ...], exclude: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert tuple(name for name in NAMES if is_chosen(name, targets=targets, exclude=exclude)) == chosen


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("haed", "no 'haed' in this model; expected 'head'"),
        ("body.0.wieght", "expected 'body.0.weight'"),
        ("re:nothing", "matches nothing"),
        ("re:(", "no regular expression"),
    ],
)
def test_unknown_name_is_told_with_the_nearest(pattern: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_places((pattern,), NAMES, what="prune: targets")
    assert str(caught.value).startswith("prune: targets: ")
    assert part in str(caught.value)
