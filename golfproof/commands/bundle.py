"""``golfproof bundle``: the reference entry as a folder that could be handed in."""

from __future__ import annotations

from pathlib import Path

import typer


def bundle(
    path: Path = typer.Argument(Path("submission"), help="Folder of the reference entry."),
    preset: str = typer.Option("tiny", "--preset", "-p", help="The system to bundle."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to write; must be new or empty."),
    runs: Path | None = typer.Option(
        None, help="Finished runs, whose logs and scores go in: the entry's runs/ or a reproduce directory."
    ),
) -> None:
    """Write one self-contained train_gpt.py, README.md, submission.json, requirements.txt and the logs of its seeds."""
    from submission.bundle.folder import bundle as write
    from submission.config import load_config

    found = write(path, load_config(preset), out, runs)
    typer.echo(f"{out / 'train_gpt.py'}: {(out / 'train_gpt.py').stat().st_size:,} bytes")
    for run in found:
        typer.echo(f"seed {run.seed}: {run.final.stage} val_bpb {run.final.val_bpb:.4f}")
    if not found:
        typer.echo("no runs: submission.json claims nothing")
