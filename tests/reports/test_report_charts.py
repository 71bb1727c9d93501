"""Charts: what is drawn, where, and what is left out."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.chart_parts import finite, ticks
from reports.limit_charts import bars, spread
from reports.line_chart import Mark, Series, lines, thin

floats = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(floats, floats), max_size=2000), st.integers(10, 400))
def test_thinning_keeps_ends_extremes_and_order(points: list[tuple[float, float]], most: int) -> None:
    points.sort()
    kept = thin(points, most)
    assert len(kept) <= most + 3
    assert set(kept) <= set(points)
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        assert max(y for _, y in kept) == max(y for _, y in points)
        assert min(y for _, y in kept) == min(y for _, y in points)


@given(floats, st.floats(1e-6, 1e6))
def test_ticks_are_few_increasing_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 8
    assert list(found) == sorted(set(found)) or span < abs(low) * 1e-9
    slack = span * 1e-6 + 4 * math.ulp(abs(low) + span)
    assert all(low - slack <= tick <= low + span + slack for tick in found)


def test_ticks_of_a_point_are_the_point() -> None:
    assert ticks(3.0, 3.0) == (3.0,)


def data(chart: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json">(.*)</script>', chart)
    assert found is not None
    loaded: dict[str, object] = json.loads(found.group(1))
    return loaded


def test_the_first_steps_do_not_flatten_the_rest_and_a_later_spike_is_kept() -> None:
    curve = [(float(step), 10.0 if step < 20 else 2.0) for step in range(0, 1000, 10)]
    curve[50] = (500.0, 4.0)
    box = data(str(lines("t", [Series("a", tuple(curve))], x="step", y="loss")))["box"]
    assert isinstance(box, list)
    assert 4.0 < box[3] < 5.0


def test_every_series_and_mark_is_drawn() -> None:
    chart = str(
        lines(
            "t",
            [Series("line", ((0, 1), (1, 2))), Series("dots", ((0, 1), (1, 2), (2, 3)), dots=True)],
            x="x",
            y="y",
            marks=[Mark("end", 2, 2)],
        )
    )
    assert chart.count("<polyline") == 1
    assert chart.count("<circle") == 3
    assert chart.count("<path") == 1


@pytest.mark.parametrize("series", [[], [Series("a", ())]])
def test_nothing_to_draw_is_no_chart(series: list[Series]) -> None:
    assert lines("t", series, x="x", y="y") == ""


def test_what_is_no_number_is_not_drawn() -> None:
    assert finite(((0, 1.0), (1, math.nan), (2, math.inf), (math.nan, 1.0))) == ((0, 1.0),)


def test_a_bar_is_as_long_as_its_share_of_the_limit() -> None:
    chart = str(bars("t", [("a", [("model", 50.0), ("code", 50.0)])], limit=100.0, unit="bytes"))
    widths = [float(width) for width in re.findall(r'<rect[^>]*width="([\d.]+)%"', chart)]
    limit = float(re.findall(r'class="limit" x1="([\d.]+)%"', chart)[0])
    assert sum(widths) == pytest.approx(limit, abs=0.01)
    assert "over" not in chart


@pytest.mark.parametrize(("total", "said"), [(100.0, False), (100.5, False), (102.0, True)])
def test_a_bar_over_the_limit_says_so_beyond_the_slack(total: float, said: bool) -> None:
    chart = str(bars("t", [("a", [("x", total)])], limit=100.0, slack=1.0, unit="s", over="too long"))
    assert ("too long" in chart) is said


def test_seeds_stand_in_the_order_of_their_scores() -> None:
    chart = str(spread("t", [("a", 1.2), ("b", 1.1)], mean=1.15, interval=(0.5, 1.8), reference=[("record", 1.0)]))
    a, b = (float(x) for x in re.findall(r'<circle class="c\d" cx="([\d.]+)%"', chart))
    (record,) = (float(x) for x in re.findall(r'class="limit" x1="([\d.]+)%"', chart))
    assert 0 <= record < b < a <= 100


def test_no_seeds_are_no_chart() -> None:
    assert spread("t", [], mean=None, interval=None) == ""


@given(st.text())
def test_names_are_text_in_every_chart(name: str) -> None:
    charts = (
        lines(name, [Series(name, ((0, 1), (1, 2)))], x=name, y=name, marks=[Mark(name, 1, 1)]),
        bars(name, [(name, [(name, 1.0)])], limit=1, unit="s"),
        spread(name, [(name, 1.0)], mean=1.0, interval=None, reference=[(name, 1.1)]),
    )
    for chart in charts:
        assert set(re.findall(r"<(\w+)", str(chart))) <= {
            "figure", "figcaption", "ul", "li", "div", "svg", "desc", "g", "line", "text", "polyline", "path", "title",
            "script", "rect", "circle",
        }  # fmt: skip
