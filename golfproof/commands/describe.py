"""``golfproof describe``: what a preset of the reference entry is, and what it would weigh."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from submission.describe import Description


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


def describe(
    preset: str = typer.Option("tiny", "--preset", "-p", help="One of the presets of submission/."),
    output: Format = typer.Option(Format.TEXT, "--format", "-f", help="text or json."),
    weigh: bool = typer.Option(True, help="Pack an artifact of random weights; takes up to a minute."),
) -> None:
    """Parameters by part, layer shapes, tokens a step, and the size of the artifact with random weights."""
    import json
    from dataclasses import asdict

    from submission.config import load_config
    from submission.describe import describe as describe_config

    config = load_config(preset)
    description = describe_config(config, weigh=weigh)
    if output is Format.JSON:
        typer.echo(json.dumps(asdict(description), indent=1))
    else:
        _show(description)


def _show(description: Description) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    parts = Table(title=f"{description.preset}: {description.parameters:,} parameters", title_justify="left")
    parts.add_column("part")
    parts.add_column("parameters", justify="right")
    for part, count in description.by_part.items():
        parts.add_row(part, f"{count:,}")
    console.print(parts)
    layers = Table(title=f"weights ({description.executed_layers} layers are executed)", title_justify="left")
    for column in ("weight", "shape", "stored as"):
        layers.add_column(column)
    for layer in description.layers:
        layers.add_row(layer.name, " x ".join(map(str, layer.shape)) or "1", layer.stored)
    console.print(layers)
    console.print(f"tokens a step: {description.tokens_per_step:,} in {description.sequences_per_step:,} sequences")
    console.print(f"code: {description.code_bytes:,} bytes, {description.packed_code_bytes:,} as one packed file")
    if description.artifact_bytes is not None and description.total_bytes is not None:
        fits = "fits" if description.total_bytes <= description.size_limit else "is over"
        console.print(
            f"artifact of random weights: {description.artifact_bytes:,} bytes; "
            f"total {description.total_bytes:,} {fits} {description.size_limit:,}"
        )
