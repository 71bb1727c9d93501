"""Draws curves on a terminal with braille dots, eight to a character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

Points = Sequence[tuple[float, float]]
COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
# The bit of each dot of a braille cell, by column and row from the top.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def curves(series: Sequence[tuple[str, Points]], *, width: int = 72, height: int = 14, unit: str = "") -> Text:
    """One line a series, over a common scale of x and y; axes labelled at their ends, the legend below.

    ``width`` and ``height`` are in characters, axis included. Points that are not finite are left out.
    """
    kept = [(name, [point for point in points if all(map(math.isfinite, point))]) for name, points in series]
    every = [point for _, points in kept for point in points]
    if not every:
        return Text("no curve yet", style="dim")
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = _range([y for _, y in every])
    margin = max(len(_label(low)), len(_label(high))) + 1
    columns, rows = max(width - margin - 1, 8), max(height - 2, 3)
    cells: dict[tuple[int, int], tuple[int, str]] = {}
    for index, (_, points) in enumerate(kept):
        colour = COLOURS[index % len(COLOURS)]
        for column, row in _dots(points, (left, right), (low, high), columns * 2, rows * 4):
            place = (row // 4, column // 2)
            bits = cells.get(place, (0, colour))[0] | _BITS[column % 2][row % 4]
            cells[place] = (bits, colour)
    picture = Text(no_wrap=True, overflow="crop")
    for row in range(rows):
        label = _label(high) if row == 0 else _label(low) if row == rows - 1 else ""
        picture.append(f"{label:>{margin}}│", style="dim")
        for column in range(columns):
            bits, colour = cells.get((row, column), (0, ""))
            picture.append(chr(0x2800 + bits) if bits else " ", style=colour or None)
        picture.append("\n")
    end = f"{right:,.0f}"
    picture.append(" " * margin + "└" + f"{left:,.0f}{unit}".ljust(columns - len(end), "─") + end + "\n", style="dim")
    picture.append(" " * (margin + 1))
    for index, (name, _) in enumerate(kept):
        picture.append(f"● {name}  ", style=COLOURS[index % len(COLOURS)])
    return picture


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The scale of a loss: the first steps, far above the rest, are cut off rather than flatten everything else."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.97))]
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _label(value: float) -> str:
    return f"{value:.3f}"


def _dots(
    points: Points, across: tuple[float, float], up: tuple[float, float], columns: int, rows: int
) -> list[tuple[int, int]]:
    """The dots of a line through ``points``, by column and row from the top left."""
    placed = []
    for x, y in points:
        part = (x - across[0]) / (across[1] - across[0]) if across[1] > across[0] else 0.0
        height = (min(max(y, up[0]), up[1]) - up[0]) / (up[1] - up[0])
        placed.append((round(part * (columns - 1)), round((1 - height) * (rows - 1))))
    found = list(placed[:1])
    for (x0, y0), (x1, y1) in pairwise(placed):
        length = max(abs(x1 - x0), abs(y1 - y0), 1)
        found += [
            (round(x0 + (x1 - x0) * i / length), round(y0 + (y1 - y0) * i / length)) for i in range(1, length + 1)
        ]
    return found
