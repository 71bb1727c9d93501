"""``golfproof demo``: the main job on our own entry, small enough for two CPU cores."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from reproduce.table import SeedTable

NOTE = "A demonstration: the scores are of the embedded corpus, not of the contest's validation set."


def demo(
    out: Path = typer.Option(Path("demo"), help="Folder for the reports, the runs and the entry with its results."),
    seeds: str = typer.Option("1337,42,7", help="Seeds to train."),
    preset: str = typer.Option("tiny", help="Preset of the entry; others than tiny want a GPU."),
) -> None:
    """Train, evaluate, audit, gate and report our own entry on the embedded corpus.

    Stop it at any time: the same command goes on with the seeds that are missing. With a report it starts anew. Exit
    code: 0 when every seed has a score, nothing is illegal and no check fails; 1 otherwise; 2 on unusable input.
    """
    import submission
    from golfproof.commands.reproduce import seed_list
    from reports.collect import collect
    from reports.seed_progress import SeedBars
    from reports.terminal import gate, show
    from reports.terminal import seeds as seed_table
    from reports.write import write_reports
    from reproduce.runner import run_seeds

    code, entry, runs = Path(submission.__file__).parent, out / "entry", out / "runs"
    wanted = seed_list(seeds)
    if (out / "report.json").exists():
        (out / "report.json").unlink()
        shutil.rmtree(runs, ignore_errors=True)
    with SeedBars(wanted) as bars:
        table = run_seeds(code, wanted, out=runs, command="python train_gpt.py", env={"PRESET": preset}, progress=bars)
    write_entry(code, table, entry)
    report = collect(entry)
    report = replace(report, seeds=table, notes=(NOTE,))
    paths = write_reports(report, out)
    show(gate(check for check in report.checks if check.status != "unchecked"))
    show(seed_table(table))
    left = sum(check.status == "unchecked" for check in report.checks)
    typer.echo(f"verdict   {report.verdict}; {left} checks could not be made here, the report names them")
    for kind, path in paths.items():
        typer.echo(f"{kind:9} {path}")
    failed = report.verdict == "illegal" or any(check.status == "fail" for check in report.checks)
    if failed or {run.seed for run in table.runs if run.headline is not None} < set(wanted):
        raise typer.Exit(1)


def write_entry(code: Path, table: SeedTable, entry: Path) -> None:
    """Write ``entry``: our code as it ran, with logs and results of its seeds, as an author would hand it in."""
    shutil.rmtree(entry, ignore_errors=True)
    shutil.copytree(code, entry, ignore=shutil.ignore_patterns("__pycache__"))
    claim = json.loads((entry / "submission.json").read_text(encoding="utf-8"))
    claim.pop("note", None)
    scored = [run for run in table.runs if run.headline is not None]
    for run in scored:
        shutil.copyfile(run.path, entry / f"train_seed{run.seed}.log")
    if table.summary is not None:
        results = {str(run.seed): run.headline for run in scored}
        losses = [metric.val_loss for metric in results.values() if metric is not None and metric.val_loss is not None]
        claim |= {
            "name": "Golfproof demo",
            "val_loss": round(sum(losses) / len(losses), 8) if losses else None,
            "val_bpb": round(table.summary.mean, 8),
            "val_bpb_std": round(table.summary.std, 8) if table.summary.std is not None else None,
            "seeds": [run.seed for run in scored],
            "seed_results": {
                seed: {"val_loss": metric.val_loss, "val_bpb": metric.val_bpb}
                for seed, metric in results.items()
                if metric is not None
            },
            "bytes_total": max((run.total_bytes or 0 for run in scored), default=0) or None,
        }
    (entry / "submission.json").write_text(json.dumps(claim, indent=2) + "\n", encoding="utf-8")
