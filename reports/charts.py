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
    x_high += 0.015 * (x_high - x_low)  # room for the marks at the end of a run
    y_low, y_high = _bounds(_heights(everything, x_low + 0.04 * (x_high - x_low)))
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


def _heights(points: Sequence[tuple[float, float]], after: float) -> Sequence[float]:
    """Without the losses of a run's first steps, where their height would flatten everything after them.

    Zooming in shows what was cut.
    """
    values = [y for _, y in points]
    later = [y for x, y in points if x > after]
    return later if len(later) >= 5 and max(values) > 1.5 * max(later) > 0 else values


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
    title: str,
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]],
    *,
    limit: float,
    unit: str,
    slack: float = 0.0,
    over: str = "over",
) -> Markup:
    """Stacked horizontal bars against a limit, figures written out above them; empty markup without rows.

    Positions are percentages, so that the bars fit any width and the text keeps its size.
    """
    rows = [(name, [(part, value) for part, value in parts if value >= 0]) for name, parts in rows]
    rows = [(name, parts) for name, parts in rows if parts]
    if not rows:
        return Markup("")
    height, top = 42, 20
    longest = max(limit, *(sum(value for _, value in parts) for _, parts in rows)) * 1.04
    names = list(dict.fromkeys(part for _, parts in rows for part, _ in parts))
    bottom = top + height * len(rows)
    ends = []  # the limit's line goes over the bars and under the words
    body = []
    for position, (name, parts) in enumerate(rows):
        y = top + position * height
        total = sum(value for _, value in parts)
        figure = f"{total:,.0f}" if total >= 1000 else f"{total:,.1f}"
        exceeds = total > limit + slack
        ends.append(_m('<text x="0" y="{}">{}</text>', y + 16, clip(plain(name), 40)))
        ends.append(
            _m(
                '<text class="figure{}" x="100%" y="{}" text-anchor="end">{} {}{}</text>',
                " over" if exceeds else "",
                y + 16,
                figure,
                unit,
                f", {over}" if exceeds else "",
            )
        )
        at = 0.0
        for part, value in parts:
            width = value / longest * 100
            body.append(
                _m(
                    '<rect class="c{}" x="{:.3f}%" y="{}" width="{:.3f}%" height="16"><title>{}</title></rect>',
                    names.index(part) % 8,
                    at,
                    y + 22,
                    width,
                    f"{plain(part)}: {value:,.9g} {unit}",
                )
            )
            at += width
    body.append(_upright("limit", limit / longest * 100, 14, bottom))
    body += ends
    body.append(_m('<text x="100%" y="12" text-anchor="end">limit {:,.0f} {}</text>', limit, unit))
    description = "; ".join(
        f"{name}: " + ", ".join(f"{part} {value:,.9g} {unit}" for part, value in parts) for name, parts in rows
    )
    legend = Markup("").join(_m('<li class="c{}">{}</li>', i % 8, plain(name)) for i, name in enumerate(names))
    return _figure(title, legend, _fluid(title, description, Markup("").join(body), bottom + 4))


def _fluid(title: str, description: str, body: Markup, height: int) -> Markup:
    return _m(
        '<svg class="fluid" height="{}" role="img" aria-label="{}"><desc>{}</desc>{}</svg>',
        height,
        plain(title),
        plain(description),
        body,
    )


def _figure(title: str, legend: Markup, drawing: Markup) -> Markup:
    return _m(
        '<figure class="chart"><figcaption>{}</figcaption><ul class="legend" aria-hidden="true">{}</ul>{}</figure>',
        plain(title),
        legend,
        drawing,
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
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)

    def at(value: float) -> float:
        return (min(max(value, low), high) - low) / (high - low) * 100

    reference = sorted(reference, key=lambda one: one[1])
    top = 18 * len(reference) + 6
    body = [_m('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>', top + 72)]
    for tick in ticks(low, high, 4):
        if 4 < at(tick) < 96:
            body.append(
                _m('<line class="axis" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>', at(tick), top + 72, top + 77)
            )
            body.append(_m('<text x="{:.2f}%" y="{}" text-anchor="middle">{:.6g}</text>', at(tick), top + 91, tick))
    body.append(_m('<text x="100%" y="{}" text-anchor="end">{}</text>', top + 107, unit))
    if interval is not None:
        body.append(
            _m(
                '<line class="interval" x1="{0:.2f}%" x2="{1:.2f}%" y1="{2}" y2="{2}"><title>{3}</title></line>',
                at(interval[0]),
                at(interval[1]),
                top + 32,
                f"95% interval of the mean: {interval[0]:.4f} to {interval[1]:.4f}",
            )
        )
    if mean is not None:
        body.append(
            _m('<line class="mean" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>', at(mean), top + 22, top + 42)
        )
        body.append(_beside(at(mean), top + 14, f"mean {mean:.4f}", "figure"))
    for position, (name, value) in enumerate(reference):
        y = 14 + 18 * position
        body.append(
            _m('<line class="limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>', at(value), y - 8, top + 72)
        )
        body.append(_beside(at(value), y, f"{clip(plain(name), 30)} {value:.4f}", ""))
    for position, (name, value) in enumerate(points):
        body.append(
            _m(
                '<circle class="c{}" cx="{:.2f}%" cy="{}" r="6"><title>{}</title></circle>',
                position % 8,
                at(value),
                top + 58,
                f"{plain(name)}: {value:.6f}",
            )
        )
    description = ", ".join(f"{name}: {value:.4f}" for name, value in (*points, *reference))
    legend = Markup("").join(
        _m('<li class="c{} dotted">{}</li>', position % 8, plain(name)) for position, (name, _) in enumerate(points)
    )
    return _figure(title, legend, _fluid(title, description, Markup("").join(body), top + 112))


def _upright(name: str, at: float, top: float, bottom: float) -> Markup:
    """A vertical line at ``at`` percent."""
    return _m('<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="{2}" y2="{3}"/>', name, at, top, bottom)


def _beside(at: float, y: int, text: str, name: str) -> Markup:
    """A label next to ``at`` percent, on the side where there is more room."""
    before = at > 50
    return _m(
        '<text class="{}" x="{:.2f}%" dx="{}" y="{}" text-anchor="{}">{}</text>',
        name,
        at,
        -6 if before else 6,
        y,
        "end" if before else "start",
        text,
    )


def clip(text: str, most: int) -> str:
    """``text``, or its beginning and an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def is_finite(value: float) -> bool:
    """Whether it can be drawn: a diverged run logs nan and inf."""
    return math.isfinite(value)


def finite(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The points that can be drawn."""
    return tuple(point for point in points if math.isfinite(point[0]) and math.isfinite(point[1]))
