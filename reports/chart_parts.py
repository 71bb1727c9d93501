"""The pieces that every chart is drawn with: escaped markup, round ticks, labels, frames.

Charts are static SVG, which reads the same without a script, in print and by a screen reader; Vega and its companions
would add 900 kB of script to every page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from markupsafe import Markup

from reports.escape import plain


def markup(template: str, *values: object) -> Markup:
    """The template with the values escaped into it."""
    return Markup(template).format(*values)


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


def bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) * 0.01 or 1.0
        return low - margin, high + margin
    return low, high


def clip(text: str, most: int) -> str:
    """``text``, or its beginning and an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def embedded(data: object) -> Markup:
    """JSON for a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def figure(title: str, legend: Markup, drawing: Markup) -> Markup:
    return markup(
        '<figure class="chart"><figcaption>{}</figcaption><ul class="legend" aria-hidden="true">{}</ul>{}</figure>',
        plain(title),
        legend,
        drawing,
    )


def is_finite(value: float) -> bool:
    """Whether it can be drawn: a diverged run logs nan and inf."""
    return math.isfinite(value)


def finite(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The points that can be drawn."""
    return tuple(point for point in points if math.isfinite(point[0]) and math.isfinite(point[1]))
