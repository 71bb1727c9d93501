"""``golfproof demo``: the main job on our own entry, small enough for two CPU cores."""

from __future__ import annotations

import shutil
from pathlib import Path

import typer


def demo(
    out: Path = typer.Option(Path("demo"), help="Folder for the reports and the runs."),
    seeds: str = typer.Option("1337,42,7", help="Seeds to train."),
    preset: str = typer.Option("tiny", help="Preset of the entry; others than tiny want a GPU."),
) -> None:
    """Train, evaluate, audit, gate and report our own entry on the embedded corpus.

    Stop it at any time: the same command goes on with the seeds that are missing. With a report it starts anew.
    Exit code: 0 when every seed has a score, the audit is clean and the gate holds; 1 otherwise; 2 on unusable input.
    """
    import submission
    from audit.evidence.evidence import Evidence
    from audit.evidence.gate import gate
    from audit.run import audit_path
    from golfproof.commands.reproduce import seed_list
    from reports.report import assemble
    from reports.seed_progress import SeedBars
    from reports.terminal import render, show
    from reports.write import write_reports
    from reproduce.claims import read_claims
    from reproduce.folder import open_folder
    from reproduce.runner import run_seeds

    entry = open_folder(Path(submission.__file__).parent)
    wanted = seed_list(seeds)
    runs = out / "runs"
    if (out / "report.json").exists():
        shutil.rmtree(runs, ignore_errors=True)
    with SeedBars(wanted) as bars:
        table = run_seeds(
            entry.path, wanted, out=runs, command="python train_gpt.py", env={"PRESET": preset}, progress=bars
        )
    verdict = audit_path(entry.path)
    claims = read_claims(entry)
    checks = gate(entry, audit=verdict, evidence=Evidence(entry, table.runs, claims))
    report = assemble("submission", audit=verdict, checks=checks, seeds=table, claims=claims)
    paths = write_reports(report, out)
    show(render(report))
    for kind, path in paths.items():
        typer.echo(f"{kind:9} {path}")
    scored = {run.seed for run in table.runs if run.headline is not None}
    if scored < set(wanted) or verdict.verdict != "clean" or any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
