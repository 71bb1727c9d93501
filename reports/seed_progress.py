"""Shows on the terminal how the seeds of a run come along: a bar a seed, nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from reports.escape import plain
from reproduce.live import Phase
from reproduce.live import Progress as SeedState

_STYLE = {"finished": "green", "running": "cyan", "pending": "dim"}


class SeedBars:
    """``with SeedBars(seeds) as bars: run_seeds(..., progress=bars)``. Drawn on standard error, on a terminal only."""

    def __init__(self, seeds: Sequence[int], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("seed {task.fields[seed]:>5}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=14, table_column=Column(min_width=14)),
            TextColumn("[{task.fields[style]}]{task.fields[phase]:<8}[/]", table_column=Column(no_wrap=True)),
            # On a narrow terminal it is this column that gives way.
            TextColumn(
                "{task.fields[told]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            expand=True,
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[int, TaskID] = {
            seed: self._bars.add_task("", total=1.0, start=False, seed=seed, phase="pending", style="dim", told="")
            for seed in dict.fromkeys(seeds)
        }

    def __enter__(self) -> SeedBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, seed: int, state: SeedState) -> None:
        """Take in what the log of ``seed`` tells."""
        task = self._tasks[seed]
        if not self._bars.tasks[task].started:
            self._bars.start_task(task)
        done = state.phase is Phase.DONE
        phase = state.state if done else str(state.phase)
        self._bars.update(
            task,
            completed=1.0 if done else state.fraction or 0.0,
            phase=phase,
            style=_STYLE.get(phase, "red" if done else "cyan"),
            told=plain(state.note[:80]) if done else describe(state),
        )
        if done:
            self._bars.stop_task(task)


def describe(state: SeedState) -> str:
    """``3:20 left  step 120/1000  loss 2.4210  512,000 tok/s  bpb 1.2034``, as far as it is known."""
    parts = [f"{clock(state.seconds_left)} left"] if state.seconds_left is not None else []
    if state.phase is Phase.TRAIN:
        parts.append(f"step {state.step:,}" + (f"/{state.steps:,}" if state.steps else ""))
        if state.train_loss is not None:
            parts.append(f"loss {state.train_loss:.4f}")
        if state.tokens_per_second:
            parts.append(f"{state.tokens_per_second:,.0f} tok/s")
    elif state.stage:
        parts.append(plain(state.stage))
    if state.val_bpb is not None:
        parts.append(f"bpb {state.val_bpb:.4f}")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """``3:20`` or ``1:03:20``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
