# SPDX-License-Identifier: Apache-2.0
"""The page: boxes as wide as their times, every text escaped, nothing loaded and no script."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from edgectl.lab.profile import Profile, ProfiledCall, ProfiledOperator
from edgectl.lab.profile_difference import profile_difference
from edgectl.lab.profile_layout import FAMILIES, WIDTH, lay_out
from edgectl.lab.profile_page import profile_page
from hypothesis import example, given
from hypothesis import strategies as st

TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "p", "div", "table", "tr", "th", "td"}
TAGS |= {"svg", "g", "rect", "text", "ul", "li", "span", "strong", "code"}
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "style", "viewbox", "role", "aria-label", "transform"}
ATTRIBUTES |= {"x", "y", "width", "height", "rx"}
VOID = {"meta"}
HOSTILE = "</title></style><script>alert('x')</script> & \"quoted\" <img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What a browser would see: elements with the texts inside, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.classes: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]
        self.classes += [value or "" for name, value in attrs if name == "class"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def delegate(index: int, p50_us: float, *operators: tuple[str, float], name: str = "XnnpackBackend") -> ProfiledCall:
    return ProfiledCall(index, "delegate", name, p50_us, tuple(ProfiledOperator(*one) for one in operators))


def kernel(index: int, name: str, p50_us: float) -> ProfiledCall:
    return ProfiledCall(index, "kernel", name, p50_us)


def profile(*calls: ProfiledCall, execute_us: float = 100.0, **changes: Any) -> Profile:
    provenance = {"device": {"cpu_model": "Cortex-A72", "cpu_features": ["neon", "crc32"]}, "threads": 1}
    return replace(Profile(20, 1, execute_us, calls, "pi4", "a" * 64, provenance), **changes)


LAYERED = profile(
    delegate(0, 50.0, ("Convolution (NHWC, F32) #1", 30.0), ("Add #1", 10.0)),
    kernel(1, "aten::cumsum.out", 20.0),
    kernel(2, "executorch_prim::add.Scalar", 1.0),
    delegate(3, 25.0, ("Convolution (NHWC, F32) #1", 25.0)),
)


def test_calls_lie_side_by_side_in_program_order_as_wide_as_their_times() -> None:
    boxes = lay_out(LAYERED).boxes
    chain = [box for box in boxes if box.kind not in {"run", "operator"}]
    assert [box.kind for box in chain] == ["delegate", "kernel", "bookkeeping", "delegate", "rest"]
    assert [round(box.width / WIDTH, 3) for box in chain] == [0.5, 0.2, 0.01, 0.25, 0.04]
    for left, right in itertools.pairwise(chain):
        assert left.x + left.width == pytest.approx(right.x)
    assert chain[-1].x + chain[-1].width == pytest.approx(WIDTH)


def test_operators_lie_under_their_delegate_in_order() -> None:
    boxes = lay_out(LAYERED).boxes
    first, second = (box for box in boxes if box.kind == "delegate")
    operators = [box for box in boxes if box.kind == "operator"]
    assert [box.x for box in operators] == pytest.approx([first.x, first.x + 0.3 * WIDTH, second.x])
    assert all(box.y == operators[0].y > first.y for box in operators)
    assert operators[0].family == operators[2].family == 0
    assert operators[1].family == 1


def test_medians_that_exceed_the_run_and_their_call_stay_within_the_picture() -> None:
    found = profile(delegate(0, 90.0, ("Add", 80.0), ("Mul", 40.0)), kernel(1, "aten::add.out", 60.0))
    boxes = lay_out(found).boxes
    assert all(box.x + box.width <= WIDTH * 1.000001 for box in boxes)
    operators = [box for box in boxes if box.kind == "operator"]
    (call,) = (box for box in boxes if box.kind == "delegate")
    assert sum(box.width for box in operators) == pytest.approx(call.width)
    assert "rest" not in {box.kind for box in boxes}


def test_the_longest_kinds_have_a_colour_each_and_the_others_share_one() -> None:
    names = [(f"Op{letter} #{number}", 10.0 - index) for index, letter in enumerate("ABCDEFG") for number in (1, 2)]
    layout = lay_out(profile(delegate(0, 100.0, *names)))
    assert [(family.name, family.count) for family in layout.families] == [(f"Op{c}", 2) for c in "ABCDE"]
    assert layout.rest is not None
    assert (layout.rest.name, layout.rest.count, layout.rest.p50_us) == ("other operators", 4, 18.0)
    assert {box.family for box in layout.boxes if box.kind == "operator"} == {*range(FAMILIES), None}


def test_a_box_says_its_name_time_and_share() -> None:
    text = Page(profile_page(LAYERED, title="cnn on pi4")).text
    assert "Convolution (NHWC, F32) #1\n30.00 µs, 30.0% of the run" in text
    assert "aten::cumsum.out (outside a delegate)\n20.00 µs, 20.0% of the run" in text
    assert "executorch_prim::add.Scalar\n1.00 µs" in text


def test_kernels_outside_a_delegate_are_marked_everywhere() -> None:
    page = Page(profile_page(LAYERED, title="cnn on pi4"))
    assert "1 kernel runs outside a delegate, 20.8% of the time: aten::cumsum.out" in page.text
    assert page.classes.count("kernel") == 1
    assert page.classes.count("warn") == 3  # the line, the key and the row
    inside = Page(profile_page(profile(LAYERED.calls[0]), title="cnn"))
    assert "All operators run inside a delegate." in inside.text
    assert {"kernel", "warn"}.isdisjoint(inside.classes)


def test_a_busy_device_is_said_to_have_been() -> None:
    busy = Page(profile_page(profile(LAYERED.calls[0]), title="cnn")).text
    assert "50.0% of the run is in no call: between them, or the device was busy" in busy
    assert "in no call" not in Page(profile_page(LAYERED, title="cnn")).text


def test_the_table_and_the_provenance_are_there() -> None:
    text = Page(profile_page(LAYERED, title="cnn on pi4")).text
    assert "Convolution (NHWC, F32)\nXnnpackBackend\n2\n55.00\n57.3%" in text
    assert "device.cpu_model\nCortex-A72" in text
    assert "device.cpu_features\nneon crc32" in text
    assert "a" * 64 in text


def test_a_comparison_stands_on_the_page_with_its_warning() -> None:
    there = profile(delegate(0, 80.0, ("Add #1", 5.0)), execute_us=200.0, device="pi5", bundle_digest="b" * 64)
    text = Page(profile_page(LAYERED, title="cnn", difference=profile_difference(LAYERED, there))).text
    assert "Against pi5" in text
    assert "different programs" in text
    assert "100.00 µs a run here, 200.00 µs on pi5, 0.50 times as long." in text
    assert "aten::cumsum.out\nkernel\n20.00\n–\n+20.00\nonly here" in text
    assert "what differs\nhere\nthere\n\n\ndevice\npi4\npi5" in text


def test_the_page_needs_nothing_else() -> None:
    page = profile_page(LAYERED, title="cnn on pi4", difference=profile_difference(LAYERED, LAYERED))
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img|\bsrc=|\bhref=|\bon\w+=", page)


def test_a_page_without_calls_is_a_page() -> None:
    page = Page(profile_page(profile(), title="empty"))
    assert page.open == []
    assert "the whole run" in page.text


def everywhere(text: str) -> Profile:
    calls = (delegate(0, 50.0, (text, 30.0), name=text), kernel(1, text, 20.0))
    provenance = {text: {text: text, "list": [text], "reason": {"unavailable": text}}}
    return profile(*calls, device=text, bundle_digest=text, provenance=provenance)


@given(st.text(max_size=40))
@example(HOSTILE)
@example("]]>-->")
@example("\x00\x1b[31m\ud800\u202e")
def test_no_text_of_a_device_becomes_markup(text: str) -> None:
    found = everywhere(text)
    other = replace(found, bundle_digest="b" * 64, calls=found.calls[1:])
    page = profile_page(found, title=text, difference=profile_difference(found, other))
    page.encode()
    seen = Page(page)
    assert seen.open == []
    assert seen.tags <= TAGS
    assert seen.attributes <= ATTRIBUTES
    fixed = Page(profile_page(everywhere("x"), title="x", difference=profile_difference(everywhere("x"), other)))
    assert {value for value in seen.values if "%" not in value} <= {value for value in fixed.values if "%" not in value}


times = st.floats(min_value=0, max_value=1e12)


@given(st.lists(st.tuples(st.booleans(), times, st.lists(times, max_size=4)), max_size=6), st.floats(1e-6, 1e12))
def test_any_times_make_boxes_inside_the_picture(
    given_calls: list[tuple[bool, float, list[float]]], run: float
) -> None:
    calls = [
        delegate(index, p50_us, *((f"Op #{n}", value) for n, value in enumerate(values)))
        if inside
        else kernel(index, "aten::add.out", p50_us)
        for index, (inside, p50_us, values) in enumerate(given_calls)
    ]
    found = profile(*calls, execute_us=run)
    for box in lay_out(found).boxes:
        assert 0 <= box.x <= box.x + box.width <= WIDTH * 1.00001
        assert box.share >= 0
    assert Page(profile_page(found, title="x")).open == []
