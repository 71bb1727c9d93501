"""Lines over a common axis, such as the losses of a run, which the page's script makes hover and zoom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.chart_parts import bounds, embedded, label, markup, ticks
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


def lines(
    title: str, series: Sequence[Series], *, x: str, y: str, marks: Sequence[Mark] = (), description: str = ""
) -> Markup:
    """Lines over a common axis, with the data beside them for the page's script; empty markup without any point."""
    series = [Series(one.name, thin(one.points), one.colour, one.dots) for one in series if one.points]
    everything = [point for one in series for point in one.points] + [(mark.x, mark.y) for mark in marks]
    if not everything:
        return Markup("")
    x_low, x_high = bounds([point[0] for point in everything])
    x_high += 0.015 * (x_high - x_low)  # room for the marks at the end of a run
    y_low, y_high = bounds(_heights(everything, x_low + 0.04 * (x_high - x_low)))
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
            markup(
                '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>', LEFT, WIDTH - RIGHT, py(tick), py(tick)
            )
        )
        parts.append(_text(LEFT - 8, py(tick) + 4, label(tick), "end"))
    parts.append(Markup("</g>"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x, "middle"))
    parts.append(
        markup(
            '<text class="tick" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>',
            (TOP + HEIGHT - BOTTOM) // 2,
            plain(y),
        )
    )
    parts.append(
        markup(
            '<svg class="plot" x="{0}" y="{1}" width="{2}" height="{3}" viewBox="{0} {1} {2} {3}">',
            LEFT,
            TOP,
            WIDTH - LEFT - RIGHT,
            HEIGHT - TOP - BOTTOM,
        )
    )
    for one in series:
        if one.dots:
            dots = Markup("").join(
                markup('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>', px(a), py(b)) for a, b in one.points
            )
            parts.append(markup('<g class="dots c{}">{}</g>', one.colour, dots))
        else:
            path = " ".join(f"{px(a):.1f},{py(b):.1f}" for a, b in one.points)
            parts.append(markup('<polyline class="line c{}" points="{}"/>', one.colour, path))
    for mark in marks:
        parts.append(
            markup(
                '<path class="mark c{}" d="M{:.1f} {:.1f}l5 5l-5 5l-5 -5z"><title>{}</title></path>',
                mark.colour,
                px(mark.x),
                py(mark.y) - 5,
                plain(mark.name),
            )
        )
    parts.append(Markup("</svg>"))
    legend = Markup("").join(
        markup('<li class="c{}{}">{}</li>', one.colour, " dotted" if one.dots else "", plain(one.name))
        for one in series
    ) + (Markup('<li class="diamond">evaluation stages</li>') if marks else Markup(""))
    return markup(
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


def _text(x: float, y: float, text: str, anchor: str, name: str = "tick") -> Markup:
    return markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>', name, x, y, anchor, plain(text))


def _svg(title: str, description: str, body: Markup, *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    return markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><desc>{}</desc>{}</svg>',
        width,
        height,
        plain(title),
        plain(description),
        body,
    )
