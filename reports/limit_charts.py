"""Figures against what bounds them: bars against a limit, seeds against a record.

Positions are percentages, so that a chart fits any width and its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from reports.chart_parts import bounds, clip, figure, markup, ticks
from reports.escape import plain


def bars(
    title: str,
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]],
    *,
    limit: float,
    unit: str,
    slack: float = 0.0,
    over: str = "over",
    digits: int | None = None,
) -> Markup:
    """Stacked horizontal bars against a limit, figures written out above them; empty markup without rows.

    Figures have ``digits`` after the point, or by their size without.
    """
    rows = [(name, [(part, value) for part, value in parts if value >= 0]) for name, parts in rows]
    rows = [(name, parts) for name, parts in rows if parts]
    if not rows:
        return Markup("")
    height, top = 42, 20
    longest = max(limit, *(sum(value for _, value in parts) for _, parts in rows)) * 1.04
    names = list(dict.fromkeys(part for _, parts in rows for part, _ in parts))
    bottom = top + height * len(rows)
    body = []
    for position, (name, parts) in enumerate(rows):
        y = top + position * height
        total = sum(value for _, value in parts)
        shown = f"{total:,.{(0 if total >= 1000 else 1) if digits is None else digits}f}"
        exceeds = total > limit + slack
        body.append(markup('<text x="0" y="{}">{}</text>', y + 16, clip(plain(name), 40)))
        body.append(
            markup(
                '<text class="figure{}" x="100%" y="{}" text-anchor="end">{}{}{}</text>',
                " over" if exceeds else "",
                y + 16,
                shown,
                f" {unit}" if unit else "",
                f", {over}" if exceeds else "",
            )
        )
        at = 0.0
        for part, value in parts:
            width = value / longest * 100
            body.append(
                markup(
                    '<rect class="c{}" x="{:.3f}%" y="{}" width="{:.3f}%" height="16"><title>{}</title></rect>',
                    names.index(part) % 8,
                    at,
                    y + 22,
                    width,
                    f"{plain(part)}: {value:,.9g} {unit}",
                )
            )
            at += width
        # With a margin of the page's colour, for the line may cross a bar of nearly its own.
        body += [_upright(name, limit / longest * 100, y + 19, y + 41) for name in ("margin", "limit")]
    body.append(markup('<text x="100%" y="12" text-anchor="end">limit {:,.0f} {}</text>', limit, unit))
    description = "; ".join(
        f"{name}: " + ", ".join(f"{part} {value:,.9g} {unit}" for part, value in parts) for name, parts in rows
    )
    legend = Markup("").join(markup('<li class="c{}">{}</li>', i % 8, plain(name)) for i, name in enumerate(names))
    return figure(title, legend, _fluid(title, description, Markup("").join(body), bottom + 4))


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
    low, high = bounds(values)
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)

    def at(value: float) -> float:
        return (min(max(value, low), high) - low) / (high - low) * 100

    reference = sorted(reference, key=lambda one: one[1])
    top = 18 * len(reference) + 6
    body = [markup('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>', top + 72)]
    for tick in ticks(low, high, 4):
        if 4 < at(tick) < 96:
            body.append(
                markup(
                    '<line class="axis" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>', at(tick), top + 72, top + 77
                )
            )
            body.append(markup('<text x="{:.2f}%" y="{}" text-anchor="middle">{:.6g}</text>', at(tick), top + 91, tick))
    body.append(markup('<text x="100%" y="{}" text-anchor="end">{}</text>', top + 107, unit))
    if interval is not None:
        body.append(
            markup(
                '<line class="interval" x1="{0:.2f}%" x2="{1:.2f}%" y1="{2}" y2="{2}"><title>{3}</title></line>',
                at(interval[0]),
                at(interval[1]),
                top + 32,
                f"95% interval of the mean: {interval[0]:.4f} to {interval[1]:.4f}",
            )
        )
    if mean is not None:
        body.append(
            markup('<line class="mean" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>', at(mean), top + 22, top + 42)
        )
        body.append(_beside(at(mean), top + 14, f"mean {mean:.4f}", "figure"))
    for position, (name, value) in enumerate(reference):
        y = 14 + 18 * position
        body.append(
            markup('<line class="limit" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>', at(value), y - 8, top + 72)
        )
        body.append(_beside(at(value), y, f"{clip(plain(name), 30)} {value:.4f}", ""))
    for position, (name, value) in enumerate(points):
        body.append(
            markup(
                '<circle class="c{}" cx="{:.2f}%" cy="{}" r="6"><title>{}</title></circle>',
                position % 8,
                at(value),
                top + 58,
                f"{plain(name)}: {value:.6f}",
            )
        )
    description = ", ".join(f"{name}: {value:.4f}" for name, value in (*points, *reference))
    legend = Markup("").join(
        markup('<li class="c{} dotted">{}</li>', position % 8, plain(name)) for position, (name, _) in enumerate(points)
    )
    return figure(title, legend, _fluid(title, description, Markup("").join(body), top + 112))


def _fluid(title: str, description: str, body: Markup, height: int) -> Markup:
    return markup(
        '<svg class="fluid" height="{}" role="img" aria-label="{}"><desc>{}</desc>{}</svg>',
        height,
        plain(title),
        plain(description),
        body,
    )


def _upright(name: str, at: float, top: float, bottom: float) -> Markup:
    """A vertical line at ``at`` percent."""
    return markup('<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="{2}" y2="{3}"/>', name, at, top, bottom)


def _beside(at: float, y: int, text: str, name: str) -> Markup:
    """A label next to ``at`` percent, on the side where there is more room."""
    before = at > 50
    return markup(
        '<text class="{}" x="{:.2f}%" dx="{}" y="{}" text-anchor="{}">{}</text>',
        name,
        at,
        -6 if before else 6,
        y,
        "end" if before else "start",
        text,
    )
