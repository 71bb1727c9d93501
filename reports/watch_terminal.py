"""A run directory as a terminal view: a row a seed, and the loss curves below."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reports.braille import curves
from reports.escape import plain
from reports.seed_progress import clock
from reproduce.rundir import State
from reproduce.snapshot import SeedView, Snapshot

_STYLE = {State.FINISHED: "green", State.RUNNING: "cyan", State.PENDING: "dim"}
_QUIET = 60.0  # seconds without a line after which the view says so


def render(snapshot: Snapshot, *, width: int = 100, height: int = 16) -> RenderableType:
    """The view; ``width`` and ``height`` of the curves in characters."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("seed", "state", "step", "loss", "val_bpb", "tok/s", "left", "took"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=name != "state")
    for seed in snapshot.seeds:
        table.add_row(*_row(seed))
    summary = snapshot.summary
    if summary is not None:
        table.add_section()
        spread = f" ± {summary.std:.4f}" if summary.std is not None else ""
        table.add_row("mean", "", "", "", f"{summary.mean:.4f}{spread}")
    lines = [
        (f"seed {seed.run.seed}", [(s.step, s.train_loss) for s in seed.log.curve if s.train_loss is not None])
        for seed in snapshot.seeds
        if seed.log is not None
    ]
    head = Text(f"{plain(snapshot.plan.name)}  {plain(snapshot.plan.command)}", style="bold")
    where = [Text(plain(machine), style="dim") for machine in snapshot.machines]
    why = [Text(f"seed {s.run.seed}: {plain(s.run.why)}", style="yellow") for s in snapshot.seeds if s.run.why]
    return Group(
        head, *where, table, *why, Text("train loss by step", style="dim"), curves(lines, width=width, height=height)
    )


def _row(seed: SeedView) -> list[Text | str]:
    run, progress = seed.run, seed.progress
    state = str(run.state)
    if run.state is State.RUNNING:
        state = f"{progress.phase}{' ' + plain(progress.stage) if progress.stage else ''}"
        if seed.quiet is not None and seed.quiet > _QUIET:
            state += f" (silent for {clock(seed.quiet)})"
    if run.attempt > 1:
        state += f", attempt {run.attempt}"
    bpb = seed.val_bpb if run.state is State.FINISHED else progress.val_bpb
    rate = progress.tokens_per_second
    return [
        str(run.seed),
        Text(state, style=_STYLE.get(run.state, "red")),
        f"{progress.step:,}" + (f"/{progress.steps:,}" if progress.steps else "") if progress.step else "",
        f"{progress.train_loss:.4f}" if progress.train_loss is not None else "",
        f"{bpb:.4f}" if bpb is not None else "",
        f"{rate:,.0f}" if rate else "",
        clock(progress.seconds_left) if progress.seconds_left is not None and run.state is State.RUNNING else "",
        clock(run.seconds) if run.seconds is not None else "",
    ]
