"""Gives runs, stages and steps of a table of seeds as pandas frames, and writes them as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.durable import write_bytes
from reproduce.errors import InputError
from reproduce.statistics import summarise
from reproduce.table import SeedTable

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "parquet")


def runs_frame(table: SeedTable) -> pd.DataFrame:
    """One row a run: seed, headline stage, val_loss (nats/token), val_bpb (bits/byte), steps, seconds, bytes."""
    import pandas as pd

    rows = [
        {
            "seed": run.seed,
            "stage": run.headline.stage if run.headline else None,
            "val_loss": run.headline.val_loss if run.headline else None,
            "val_bpb": run.headline.val_bpb if run.headline else None,
            "steps": run.steps,
            "train_seconds": run.train_seconds,
            "eval_seconds": run.eval_seconds,
            "model_bytes": run.model_bytes,
            "code_bytes": run.code_bytes,
            "total_bytes": run.total_bytes,
            "parameters": run.parameters,
            "world_size": run.world_size,
            "gpu": run.gpu,
            "log": run.path,
        }
        for run in table.runs
    ]
    whole = ("seed", "steps", "model_bytes", "code_bytes", "total_bytes", "parameters", "world_size")
    return pd.DataFrame(rows, columns=_columns(rows, "seed")).astype({name: "Int64" for name in whole if rows})


def stages_frame(table: SeedTable) -> pd.DataFrame:
    """One row a run and evaluation, in the order printed: seed, stage, val_loss, val_bpb, seconds, line of the log."""
    import pandas as pd

    rows = [
        {
            "seed": run.seed,
            "stage": metric.stage,
            "val_loss": metric.val_loss,
            "val_bpb": metric.val_bpb,
            "seconds": metric.seconds,
            "line": metric.line,
        }
        for run in table.runs
        for metric in run.metrics
    ]
    return pd.DataFrame(rows, columns=["seed", "stage", "val_loss", "val_bpb", "seconds", "line"])


def steps_frame(table: SeedTable) -> pd.DataFrame:
    """One row a run and logged training step: seed, step, train_loss, val_loss, val_bpb, train_seconds."""
    import pandas as pd

    names = ["step", "train_loss", "val_loss", "val_bpb", "train_seconds"]
    rows = [
        {"seed": run.seed, **{name: getattr(step, name) for name in names}} for run in table.runs for step in run.curve
    ]
    return pd.DataFrame(rows, columns=["seed", *names])


def summary_frame(table: SeedTable) -> pd.DataFrame:
    """One row a stage over the runs that have it: n, mean, sample std, 95% interval of the mean; bits per byte."""
    import pandas as pd

    rows = []
    stages = stages_frame(table).dropna(subset=["val_bpb"]).drop_duplicates(["seed", "stage"], keep="last")
    known = set(stages["stage"])
    for stage, group in stages.groupby("stage", sort=False):
        if f"{stage}_exact" in known:
            continue  # the same result, rounded
        found = summarise([float(value) for value in group["val_bpb"]])
        rows.append(
            {"stage": stage, "n": found.n, "mean": found.mean, "std": found.std, "low": found.low, "high": found.high}
        )
    return pd.DataFrame(rows, columns=["stage", "n", "mean", "std", "low", "high"])


def require_format(form: str) -> None:
    """Raise InputError on a format that cannot be written here: better before a run of hours than after it."""
    if form not in FORMATS:
        raise InputError("--export-format", " or ".join(FORMATS), repr(form))
    if form == "parquet" and find_spec("pyarrow") is None:
        raise InputError("--export-format parquet", "pyarrow (pip install 'golfproof[parquet]')", "no pyarrow")


def export(table: SeedTable, folder: Path, form: str = "csv") -> tuple[Path, ...]:
    """Write runs, stages, steps and summary into ``folder`` as ``csv`` or ``parquet``; the files written.

    Raises InputError on another format, or for Parquet without pyarrow.
    """
    require_format(form)
    frames = {
        "runs": runs_frame(table),
        "stages": stages_frame(table),
        "steps": steps_frame(table),
        "summary": summary_frame(table),
    }
    written = []
    for name, frame in frames.items():
        path = folder / f"{name}.{form}"
        write_bytes(path, frame.to_csv(index=False).encode() if form == "csv" else frame.to_parquet(index=False))
        written.append(path)
    return tuple(written)


def _columns(rows: Sequence[Mapping[str, object]], *fallback: str) -> list[str]:
    return list(rows[0]) if rows else list(fallback)
