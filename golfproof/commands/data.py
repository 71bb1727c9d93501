"""``golfproof data``: where data is cached, building, downloading and checking token shards."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Source(StrEnum):
    EMBEDDED = "embedded"
    FINEWEB = "fineweb"
    CHECK = "check"


def data(
    source: Source | None = typer.Argument(None, help="What to build or download; without it: what the cache holds."),
    files: list[Path] = typer.Argument(None, help="check: shards, or folders of shards.", show_default=False),
    variant: str = typer.Option("sp1024", help="fineweb: tokenizer family, sp<size> or byte260."),
    train_shards: int = typer.Option(80, min=0, help="fineweb: training shards of 100 million tokens each (200 MB)."),
    vocab_size: int = typer.Option(1024, help="embedded: pieces of the tokenizer, 256 to 1024."),
) -> None:
    """Show the cache folder, build the embedded corpus, download the contest's FineWeb shards, or check shards."""
    from submission.cache import cache_folder

    if source is None:
        _show(cache_folder())
        return
    if source is Source.CHECK:
        _check(files or [])
        return
    if source is Source.EMBEDDED:
        from submission.corpus import embedded

        dataset = embedded(vocab_size=vocab_size)
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from submission.fineweb import download

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, transient=True) as bar:
            task = bar.add_task("manifest.json", total=None)
            dataset = download(
                variant,
                train_shards,
                progress=lambda done, total, name: bar.update(task, completed=done, total=total, description=name),
            )
    typer.echo(f"DATA_PATH={dataset.folder}")
    typer.echo(f"TOKENIZER_PATH={dataset.tokenizer}")


def _show(folder: Path) -> None:
    typer.echo(f"cache folder: {folder}" + ("" if folder.is_dir() else " (not there yet)"))
    shards = sorted(folder.rglob("fineweb_*.bin"))
    for parent in sorted({path.parent for path in shards if not path.is_symlink()}):
        inside = [path for path in shards if path.parent == parent]
        size = sum(path.stat().st_size for path in inside)
        split = ", ".join(f"{sum(f'_{kind}_' in p.name for p in inside)} {kind}" for kind in ("train", "val"))
        typer.echo(f"{parent.relative_to(folder)}: {split} shards, {size:,} bytes")


def _check(paths: list[Path]) -> None:
    from submission.data import read_shard
    from submission.errors import InputError

    if not paths:
        raise InputError("golfproof data check", "shards, or folders of shards")
    for path in paths:
        shards = sorted(path.glob("*.bin")) if path.is_dir() else [path]
        if not shards:
            raise InputError(path, "shards named *.bin", "none")
        for shard in shards:
            tokens = read_shard(shard)
            highest = f", ids up to {int(tokens.max())}" if tokens.size else ""
            typer.echo(f"{shard}: {tokens.size:,} tokens{highest}")
