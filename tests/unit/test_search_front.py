# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from edgectl.search.front import Front, build_front, front_document, front_table
from edgectl.search.front_layout import BOTTOM, HEIGHT, LEFT, LINE, RIGHT, TOP, WIDTH, lay_out
from edgectl.search.front_page import front_page, front_section, write_front_page
from edgectl.search.front_picture import write_front_picture
from edgectl.search.objectives import STANDARD_OBJECTIVES
from edgectl.search.trial import Trial, TrialState
from edgectl_protos.errors import UsageError
from hypothesis import example, given
from hypothesis import strategies as st

TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h3", "section", "p", "div", "table", "tr", "th", "td"}
TAGS |= {"svg", "g", "line", "text", "circle", "polyline"}
HOSTILE = "<script>alert('x')</script> & \"quoted\""


def complete(candidate: int, accuracy: float, p50_ms: float, program_bytes: float) -> Trial:
    return Trial(
        candidate,
        candidate,
        {"model.width": 8 * candidate},
        TrialState.COMPLETE,
        {"accuracy": accuracy, "p50_ms": p50_ms, "program_bytes": program_bytes},
    )


def failed(candidate: int, reason: str = "does not lower") -> Trial:
    return Trial(
        candidate, candidate, {"model.width": 1}, TrialState.FAILED, reason=reason, error_code="compile_failed"
    )


def front(*trials: Trial, name: str = "digits") -> Front:
    return build_front(trials, STANDARD_OBJECTIVES, name=name)


def cloud(count: int, *, seed: int = 0) -> Front:
    rng = random.Random(seed)
    return front(
        *(
            complete(i, rng.uniform(0.7, 0.99), rng.uniform(0.02, 0.4), rng.randrange(9_000, 400_000))
            for i in range(count)
        )
    )


THREE = (complete(0, 0.9, 0.05, 20_480), complete(1, 0.95, 0.10, 40_960), complete(2, 0.85, 0.20, 81_920))


def test_the_table_lists_the_front_and_counts_the_rest() -> None:
    lines = front_table(front(*THREE, failed(3))).splitlines()
    assert lines[0].split() == ["candidate", "accuracy", "p50", "latency", "program", "size", "model.width"]
    assert lines[1].split() == ["#0", "90.00", "%", "50.0", "µs", "20.0", "KiB", "0"]
    assert lines[2].split() == ["#1", "95.00", "%", "100.0", "µs", "40.0", "KiB", "8"]
    assert lines[3] == "4 candidates: 2 on the Pareto front, 1 dominated, 1 failed."
    assert len(lines) == 4


def test_slow_models_are_told_in_milliseconds() -> None:
    assert "1,500.00 ms" in front_table(front(complete(0, 0.5, 1500.0, 10)))


def test_the_document_has_the_names_that_reports_read() -> None:
    document = json.loads(json.dumps(front_document(front(*THREE, failed(3)))))
    assert document["pareto"] == [0, 1]
    first = document["candidates"][0]
    assert {key: first[key] for key in ("genome", "accuracy", "p50_ms", "program_bytes")} == {
        "genome": {"model.width": 0},
        "accuracy": 0.9,
        "p50_ms": 0.05,
        "program_bytes": 20_480,
    }
    assert document["failed"][0]["reason"] == "does not lower"


def test_tries_without_a_result_are_left_out() -> None:
    running = Trial(7, 7, {"model.width": 1}, TrialState.RUNNING)
    interrupted = Trial(8, 8, {"model.width": 1}, TrialState.INTERRUPTED)
    assert front(*THREE, running, interrupted) == front(*THREE)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    return parser.tags


def svg(page: str) -> ET.Element:
    return ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314


def test_every_text_from_outside_is_escaped() -> None:
    genome = {HOSTILE: HOSTILE}
    trials = (
        Trial(0, 0, dict(genome), TrialState.COMPLETE, {"accuracy": 0.9, "p50_ms": 1.0, "program_bytes": 5.0}),
        Trial(1, 1, dict(genome), TrialState.FAILED, reason=HOSTILE),
    )
    page = front_page(front(*trials, name=HOSTILE))
    assert "<script" not in page
    assert {tag for tag, _ in elements(page)} <= TAGS


def test_the_page_loads_nothing() -> None:
    page = front_page(cloud(20))
    attributes = {name for _, given in elements(page) for name in given}
    assert not attributes & {"src", "href", "xlink:href", "srcset", "data", "action", "background", "style"}
    assert not re.search(r"url\(|@import|https?:", page)
    assert not [name for name in attributes if name.startswith("on")]


def test_the_page_follows_light_and_dark() -> None:
    assert front_page(cloud(3)).count("prefers-color-scheme: dark") == 2
    assert "prefers-color-scheme: dark" in front_section(cloud(3))


def test_every_candidate_is_drawn_with_its_figures_to_point_at() -> None:
    titles = [title.text or "" for title in svg(front_page(front(*THREE))).iter("title")]
    assert sorted(title.splitlines()[0] for title in titles) == ["candidate #0", "candidate #1", "candidate #2"]
    assert "accuracy 95.00 %\np50 latency 100.0 µs\nprogram size 40.0 KiB\nmodel.width = 8" in "".join(titles)


def test_axes_are_named_with_their_units() -> None:
    texts = [text.text for text in svg(front_page(front(*THREE))).iter("text")]
    assert "accuracy (%), higher is better" in texts
    assert "p50 latency (µs), lower is better" in texts


def test_the_stairs_join_the_front_of_the_two_axes_drawn() -> None:
    drawn = lay_out(front(*THREE))
    fast, exact = (next(m for m in drawn.marks if m.details[0] == f"candidate #{i}") for i in (0, 1))
    assert drawn.stairs == ((fast.x, fast.y), (exact.x, fast.y), (exact.x, exact.y))
    assert exact.x > fast.x
    assert exact.y < fast.y  # y grows downwards


def test_a_circle_of_twice_the_bytes_has_twice_the_area() -> None:
    drawn = lay_out(front(complete(0, 0.9, 0.05, 40_000), complete(1, 0.95, 0.10, 80_000)))
    radii = {mark.details[0]: mark.radius for mark in drawn.marks}
    assert radii["candidate #1"] ** 2 / radii["candidate #0"] ** 2 == pytest.approx(2.0)


values = st.tuples(st.floats(0, 1), st.floats(1e-4, 1e4), st.integers(0, 10**9))


@example([(5e-324, 1.0, 0)])
@example([(0.5, 1e4, 0), (0.5, 1e4 + 2e-12, 0)])
@given(st.lists(values, min_size=1, max_size=25))
def test_everything_lies_within_the_frame_and_no_label_touches_another(points: list[tuple[float, float, int]]) -> None:
    drawn = lay_out(front(*(complete(i, *point) for i, point in enumerate(points))))
    for mark in drawn.marks:
        assert LEFT <= mark.x <= WIDTH - RIGHT
        assert TOP <= mark.y <= HEIGHT - BOTTOM
    for tick in drawn.x_ticks:
        assert LEFT <= tick.at <= WIDTH - RIGHT
    for ticks in (drawn.x_ticks, drawn.y_ticks):
        assert len(ticks) >= 2
        assert len({tick.text for tick in ticks}) == len(ticks)
    for i, label in enumerate(drawn.labels):
        for other in drawn.labels[:i]:
            apart = abs(label.y - other.y) >= LINE * 0.75 or abs(label.x - other.x) >= 6 * min(
                len(label.text), len(other.text)
            )
            assert apart


@pytest.mark.parametrize("count", [1, 2, 60])
def test_a_picture_is_a_png_and_leaves_no_other_file(tmp_path: Path, count: int) -> None:
    write_front_picture(tmp_path / "front.png", cloud(count))
    data = (tmp_path / "front.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (1520, 960)
    assert [path.name for path in tmp_path.iterdir()] == ["front.png"]


def test_the_same_front_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_front_picture(tmp_path / name, cloud(9))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_search_without_a_success_has_a_page_that_says_so_and_no_picture(tmp_path: Path) -> None:
    page = front_page(front(failed(0), failed(1)))
    assert "2 candidates: 0 on the Pareto front, 0 dominated, 2 failed." in page
    assert "<svg" not in page
    with pytest.raises(UsageError, match="no successful candidate"):
        write_front_picture(tmp_path / "front.png", front(failed(0)))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    for write, name in ((write_front_page, "front.html"), (write_front_picture, "front.png")):
        with pytest.raises(UsageError, match="nowhere"):
            write(tmp_path / "nowhere" / name, cloud(3))
        taken = tmp_path / name
        taken.mkdir()
        with pytest.raises(UsageError, match=name):
            write(taken, cloud(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.html", "front.png"]
