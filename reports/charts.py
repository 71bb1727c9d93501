"""Charts as static SVG, which the page's script makes hover and zoom.

They read the same without a script, in print and by a screen reader. Vega and its companions would add 900 kB of script
to every page; these take a few kB.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.escape import plain

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 42
MOST_POINTS = 400  # a series longer than this is thinned; twice the pixels of a phone


@dataclass(frozen=True)
class Series:
    """One line: ``points`` as (x, y), finite; ``dots`` draws points alone."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: int = 0
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A labelled point: an evaluation stage at the end of a run."""

    name: str
    x: float
    y: float
    colour: int = 0


def thin(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> tuple[tuple[float, float], ...]:
    """At most about ``most`` of the points, the lowest and highest of each stretch kept, so that spikes stay."""
    if len(points) <= most:
        return tuple(points)
    stretch = math.ceil(len(points) / (most / 2))
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return tuple(dict.fromkeys((points[0], *kept, points[-1])))


def ticks(low: float, high: float, about: int = 6) -> tuple[float, ...]:
    """Round numbers between the two, both included where they are round."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return (low,)
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * factor for factor in (1, 2, 2.5, 5) if power * factor >= rough), power * 10)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def label(value: float) -> str:
    """A tick's text: thousands shortened, no trailing zeros."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:g}"


def _m(template: str, *values: object) -> Markup:
    """The template with the values escaped into it."""
    return Markup(template).format(*values)


def _svg(title: str, description: str, body: Markup, *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    return _m(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><desc>{}</desc>{}</svg>',
        width,
        height,
        plain(title),
        plain(description),
        body,
    )


def lines(
    title: str, series: Sequence[Series], *, x: str, y: str, marks: Sequence[Mark] = (), description: str = ""
) -> Markup:
    """Lines over a common axis, with the data beside them for the page's script; empty markup without any point."""
    series = [Series(one.name, thin(one.points), one.colour, one.dots) for one in series if one.points]
    everything = [point for one in series for point in one.points] + [(mark.x, mark.y) for mark in marks]
    if not everything:
        return Markup("")
    x_low, x_high = _bounds([point[0] for point in everything])
    y_low, y_high = _bounds(_visible_heights([point[1] for point in everything]))
    y_low, y_high = y_low - 0.04 * (y_high - y_low), y_high + 0.04 * (y_high - y_low)
    data = {
        "x": plain(x),
        "y": plain(y),
        "box": [x_low, x_high, y_low, y_high],
        "series": [
            {
                "name": plain(one.name),
                "colour": one.colour,
                "dots": one.dots,
                "points": [[float(f"{a:.8g}"), float(f"{b:.6g}")] for a, b in one.points],
            }
            for one in series
        ],
        "marks": [
            {"name": plain(mark.name), "x": mark.x, "y": float(f"{mark.y:.6g}"), "colour": mark.colour}
            for mark in marks
        ],
    }

    def px(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def py(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [Markup('<g class="axes">')]
    for tick in ticks(x_low, x_high):
        parts.append(_text(px(tick), HEIGHT - BOTTOM + 18, label(tick), "middle"))
    for tick in ticks(y_low, y_high):
        parts.append(
            _m('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>', LEFT, WIDTH - RIGHT, py(tick), py(tick))
        )
        parts.append(_text(LEFT - 8, py(tick) + 4, label(tick), "end"))
    parts.append(Markup("</g>"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x, "middle"))
    parts.append(
        _m(
            '<text class="tick" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>',
            (TOP + HEIGHT - BOTTOM) // 2,
            plain(y),
        )
    )
    parts.append(
        _m(
            '<svg class="plot" x="{0}" y="{1}" width="{2}" height="{3}" viewBox="{0} {1} {2} {3}">',
            LEFT,
            TOP,
            WIDTH - LEFT - RIGHT,
            HEIGHT - TOP - BOTTOM,
        )
    )
    for one in series:
        if one.dots:
            dots = Markup("").join(_m('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>', px(a), py(b)) for a, b in one.points)
            parts.append(_m('<g class="dots c{}">{}</g>', one.colour, dots))
        else:
            path = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in one.points)
            parts.append(_m('<polyline class="line c{}" points="{}"/>', one.colour, path))
    for mark in marks:
        parts.append(
            _m(
                '<path class="mark c{}" d="M{:.1f} {:.1f}l5 5l-5 5l-5 -5z"><title>{}</title></path>',
                mark.colour,
                px(mark.x),
                py(mark.y) - 5,
                plain(mark.name),
            )
        )
    parts.append(Markup("</svg>"))
    legend = Markup("").join(
        _m('<li class="c{}{}">{}</li>', one.colour, " dotted" if one.dots else "", plain(one.name)) for one in series
    ) + (Markup('<li class="diamond">evaluation stages</li>') if marks else Markup(""))
    return _m(
        '<figure class="chart" data-chart><figcaption>{}</figcaption><ul class="legend" aria-hidden="true">{}</ul>'
        '<div class="frame" tabindex="0" role="group" aria-label="{}">{}</div>'
        '<script type="application/json">{}</script></figure>',
        plain(title),
        legend,
        f"{plain(title)}: arrow keys read the points, plus and minus zoom, 0 shows everything",
        _svg(title, description, Markup("").join(parts)),
        embedded(data),
    )


def _visible_heights(values: Sequence[float]) -> Sequence[float]:
    """Without the few first losses of a run, whose height would flatten everything after them."""
    if len(values) < 20:
        return values
    ordered = sorted(values)
    ceiling = ordered[int(0.97 * (len(ordered) - 1))]
    # A curve that stays high is no outlier: cut only where the rest lies well below.
    return [value for value in values if value <= ceiling] if ordered[-1] > 1.5 * ceiling else values


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) * 0.01 or 1.0
        return low - margin, high + margin
    return low, high


def _text(x: float, y: float, text: str, anchor: str, name: str = "tick") -> Markup:
    return _m('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>', name, x, y, anchor, plain(text))


def embedded(data: object) -> Markup:
    """JSON for a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def bars(
    title: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], *, limit: float, unit: str, over: str = "over"
) -> Markup:
    """Stacked horizontal bars against a limit, figures written out at their ends; empty markup without rows."""
    rows = [(name, [(part, value) for part, value in parts if value >= 0]) for name, parts in rows]
    rows = [(name, parts) for name, parts in rows if parts]
    if not rows:
        return Markup("")
    left, right, height = 110, 150, 30
    top = 22
    longest = max(limit, *(sum(value for _, value in parts) for _, parts in rows)) * 1.02
    scale = (WIDTH - left - right) / longest
    total_height = top + height * len(rows) + 6
    names = list(dict.fromkeys(part for _, parts in rows for part, _ in parts))
    body = [Markup("")]
    for position, (name, parts) in enumerate(rows):
        y = top + position * height
        body.append(_text(left - 8, y + 17, clip(name, 15), "end"))
        at = float(left)
        for part, value in parts:
            body.append(
                _m(
                    '<rect class="c{}" x="{:.1f}" y="{}" width="{:.1f}" height="20"><title>{}</title></rect>',
                    names.index(part),
                    at,
                    y + 3,
                    max(value * scale, 0.5),
                    f"{plain(part)}: {value:,.6g} {unit}",
                )
            )
            at += value * scale
        total = sum(value for _, value in parts)
        text = f"{total:,.0f}" if total >= 1000 else f"{total:,.1f}"
        exceeds = total > limit
        body.append(
            _text(
                max(at, left + limit * scale) + 8,
                y + 17,
                f"{text}{f' {over}' if exceeds else ''}",
                "start",
                "figure over" if exceeds else "figure",
            )
        )
    at = left + limit * scale
    body.append(_m('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>', at, top - 6, total_height))
    body.append(_text(at, 11, f"limit {limit:,.0f} {unit}", "middle"))
    description = "; ".join(
        f"{name}: " + ", ".join(f"{part} {value:,.6g} {unit}" for part, value in parts) for name, parts in rows
    )
    legend = Markup("").join(_m('<li class="c{}">{}</li>', i, plain(name)) for i, name in enumerate(names))
    return _m(
        '<figure class="chart"><figcaption>{}</figcaption><ul class="legend" aria-hidden="true">{}</ul>'
        '<div class="frame" tabindex="0" role="group" aria-label="{}">{}</div></figure>',
        plain(title),
        legend,
        plain(title),
        _svg(title, description, Markup("").join(body), height=total_height),
    )


def spread(
    title: str,
    points: Sequence[tuple[str, float]],
    *,
    mean: float | None,
    interval: tuple[float, float] | None,
    reference: Sequence[tuple[str, float]] = (),
    unit: str = "bits per byte",
) -> Markup:
    """The seeds as dots on one axis, their mean with its interval, and reference figures as lines."""
    if not points:
        return Markup("")
    values = [value for _, value in points] + [value for _, value in reference]
    if mean is not None:
        values.append(mean)
    if interval is not None:
        # A wide interval (two or three seeds) is cut at the axis rather than squeezing the dots together.
        width = max(max(values) - min(values), 1e-4)
        values += [max(interval[0], min(values) - 2 * width), min(interval[1], max(values) + 2 * width)]
    low, high = _bounds(values)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    left, right, height = 30, 30, 132

    def px(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (WIDTH - left - right)

    body = [_m('<line class="axis" x1="{}" x2="{}" y1="96" y2="96"/>', left, WIDTH - right)]
    for tick in ticks(low, high, 7):
        body.append(_m('<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="96" y2="101"/>', px(tick)))
        body.append(_text(px(tick), 116, f"{tick:.6g}", "middle"))
    body.append(_text(WIDTH - right, 130, unit, "end"))
    if interval is not None:
        body.append(
            _m(
                '<line class="interval" x1="{:.1f}" x2="{:.1f}" y1="56" y2="56"><title>{}</title></line>',
                px(interval[0]),
                px(interval[1]),
                f"95% interval of the mean: {interval[0]:.4f} to {interval[1]:.4f}",
            )
        )
    if mean is not None:
        body.append(_m('<path class="mean" d="M{0:.1f} 46V66"><title>{1}</title></path>', px(mean), f"mean {mean:.4f}"))
        body.append(_text(px(mean), 42, f"mean {mean:.4f}", _anchor(px(mean), "middle"), "figure"))
    for position, (name, value) in enumerate(sorted(reference, key=lambda one: one[1])):
        # The lower figure's label stands left of its line, the higher one's right of it, so that they do not meet.
        left_of = position == 0 and px(value) > 180
        body.append(_m('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="6" y2="96"/>', px(value)))
        text = f"{clip(name, 30)} {value:.4f}"
        body.append(_text(px(value) + (-6 if left_of else 6), 16, text, "end" if left_of else _anchor(px(value))))
    for position, (name, value) in enumerate(points):
        body.append(
            _m(
                '<circle class="c{}" cx="{:.1f}" cy="80" r="6"><title>{}</title></circle>',
                position % 8,
                px(value),
                f"{plain(name)}: {value:.6f}",
            )
        )
    description = ", ".join(f"{name}: {value:.4f}" for name, value in (*points, *reference))
    legend = Markup("").join(
        _m('<li class="c{} dotted">{}</li>', position % 8, plain(name)) for position, (name, _) in enumerate(points)
    )
    return _m(
        '<figure class="chart"><figcaption>{}</figcaption><ul class="legend" aria-hidden="true">{}</ul>'
        '<div class="frame" tabindex="0" role="group" aria-label="{}">{}</div></figure>',
        plain(title),
        legend,
        plain(title),
        _svg(title, description, Markup("").join(body), height=height),
    )


def _anchor(x: float, otherwise: str = "start") -> str:
    """Where a label beside ``x`` has to begin so that it stays inside the drawing."""
    return "start" if x < 140 else "end" if x > WIDTH - 140 else otherwise


def clip(text: str, most: int) -> str:
    """``text``, or its beginning and an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def is_finite(value: float) -> bool:
    """Whether it can be drawn: a diverged run logs nan and inf."""
    return math.isfinite(value)


def finite(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The points that can be drawn."""
    return tuple(point for point in points if math.isfinite(point[0]) and math.isfinite(point[1]))
