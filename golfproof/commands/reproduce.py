"""``golfproof reproduce``: rerun the seeds of an entry, or read them from the logs it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reproduce.errors import InputError

if TYPE_CHECKING:
    from reproduce.compare import Target
    from reproduce.process import Limits
    from reproduce.table import SeedTable


def reproduce(
    path: Path = typer.Argument(..., help="Submission folder, or its trainer file."),
    seeds: str = typer.Option("1337,42,7", help="Seeds to run, one after another."),
    from_logs: bool = typer.Option(False, "--from-logs", help="Run nothing: read the logs the folder holds."),
    against: Path | None = typer.Option(
        None, help="Say whether this is reproduced: a folder with claims or logs, or a run directory."
    ),
    determinism: bool = typer.Option(False, "--determinism", help="Run the first seed twice; show where they differ."),
    out: Path | None = typer.Option(None, help="Run directory; the same one goes on where it stopped. [runs/<name>]"),
    command: str | None = typer.Option(None, help="What to run, e.g. 'python train_gpt.py'. [the README's]"),
    env: list[str] = typer.Option([], "--env", metavar="KEY=VALUE", help="A variable for the trainer; repeatable."),
    preset: str | None = typer.Option(None, help="Short for --env PRESET=..."),
    data: Path | None = typer.Option(None, help="Folder that the trainer finds as ./data."),
    nproc: int | None = typer.Option(None, min=1, help="Processes for torchrun, instead of what the command says."),
    sandbox: bool = typer.Option(False, "--sandbox", help="Confine the trainer. The default for a stranger's folder."),
    trust: bool = typer.Option(False, "--trust", "--unsafe-no-sandbox", help="Run it with all of your own rights."),
    retries: int = typer.Option(0, min=0, help="Further attempts at a seed that fails."),
    contest_limits: bool | None = typer.Option(
        None, help="End training and evaluation after 600 s each. [on a machine with 8 GPUs]"
    ),
    train_limit: float | None = typer.Option(None, min=0, help="Seconds of training before a seed is ended."),
    eval_limit: float | None = typer.Option(None, min=0, help="Seconds of evaluation before a seed is ended."),
    silence_limit: float = typer.Option(
        1800.0, min=1, help="Seconds without a line in the log before a seed is ended."
    ),
    resume_env: list[str] = typer.Option(
        [],
        "--resume-env",
        metavar="KEY=VALUE",
        help="How the trainer is told to go on from its checkpoint; repeatable.",
    ),
    keep_work: bool = typer.Option(False, "--keep-work", help="Keep the working copies of finished seeds."),
    executor: str = typer.Option("local", help="local, or ray: the seeds as tasks of a Ray cluster."),
    address: str | None = typer.Option(None, help="Of the Ray cluster. [RAY_ADDRESS, else one on this machine]"),
    num_gpus: float = typer.Option(0.0, min=0, help="GPUs that one seed takes of the Ray cluster."),
    export: Path | None = typer.Option(None, help="Folder for the tables: runs, stages, steps, summary."),
    export_format: str = typer.Option("csv", help="csv or parquet."),
) -> None:
    """Rerun the seeds of an entry and print the table of their scores: mean and sample standard deviation.

    Exit code: 0 when every seed has a score (and with --against: the mean is reproduced), 1 when not, 2 on unusable
    input. Kill it at any time and give the same command again: finished seeds are kept.
    """
    from rich.text import Text

    from reports.escape import plain
    from reports.terminal import seeds as render
    from reports.terminal import show

    wanted = seed_list(seeds)
    # What would be missing in the end is asked for now: a run takes hours.
    target = _target(against) if against is not None else None
    if export is not None:
        from reproduce.frames import require_format

        require_format(export_format)
    if from_logs:
        from reproduce.folder import open_folder
        from reproduce.table import from_logs as read

        table = read(open_folder(path))
        show(render(table))
        _finish(table, target, export, export_format, complete=True)
        return
    from reports.seed_progress import SeedBars
    from reproduce.executors import RayExecutor, open_executor
    from reproduce.runner import Options, run_seeds

    cluster = open_executor(executor, address=address, num_gpus=num_gpus)
    confine, ours = _confine(path, sandbox, trust), is_ours(path)
    options = Options(
        limits=_limits(contest_limits, train_limit, eval_limit, silence_limit),
        retries=retries,
        data=_folder(data) if data is not None else None,
        processes=nproc,
        sandbox=confine,
        # Our own trainer keeps a checkpoint and takes its two phases apart; of a stranger's we are told.
        resume_env=assignments(resume_env, "--resume-env") or ({"RESUME": "1"} if ours else {}),
        evaluate_apart=confine and ours,
        keep_work=keep_work,
        cluster=cluster if isinstance(cluster, RayExecutor) else None,
    )
    variables = assignments(env, "--env") | ({"PRESET": preset} if preset is not None else {})
    name = (path if path.is_dir() else path.parent).resolve().name
    place = out or Path("runs") / (f"{name}-determinism" if determinism else name)
    if determinism:
        from reports.reproduction_terminal import determinism as render_determinism
        from reproduce.determinism import check_determinism

        with SeedBars(wanted[:1]) as bars:
            found = check_determinism(
                path, wanted[0], out=place, command=command, env=variables, progress=bars, options=options
            )
        show(render_determinism(found))
        raise typer.Exit(0 if found.divergence is None else 1)
    with SeedBars(wanted) as bars:
        table = run_seeds(path, wanted, out=place, command=command, env=variables, progress=bars, options=options)
    show(render(table))
    show(Text(f"run directory: {plain(str(place))}", style="dim"))
    _finish(table, target, export, export_format, complete={run.seed for run in table.runs} >= set(wanted))


def _target(path: Path) -> Target:
    from reproduce.compare import read_target

    return read_target(path)


def _finish(table: SeedTable, target: Target | None, export: Path | None, form: str, *, complete: bool) -> None:
    """Tables to files, comparison to the terminal; exit code 1 where something is missing or not reproduced."""
    if export is not None:
        from reproduce.frames import export as write

        for file in write(table, export, form):
            typer.echo(f"wrote {file}")
    if target is not None:
        from reports.reproduction_terminal import reproduction
        from reports.terminal import show
        from reproduce.compare import Verdict, compare

        result = compare(table, target)
        show(reproduction(result))
        complete = complete and result.verdict is Verdict.REPRODUCED
    if not complete:
        raise typer.Exit(1)


def _limits(contest: bool | None, train: float | None, evaluate: float | None, silence: float) -> Limits:
    """Those given; the contest's where asked for, or where this machine is like the contest's (8 GPUs)."""
    from reproduce.gpus import find_gpus
    from reproduce.process import CONTEST_LIMITS, Limits

    if contest is None:
        contest = len(find_gpus().names) >= 8
    base = CONTEST_LIMITS if contest else Limits()
    return replace(
        base,
        train=train if train is not None else base.train,
        evaluate=evaluate if evaluate is not None else base.evaluate,
        silence=silence,
    )


def seed_list(text: str) -> tuple[int, ...]:
    """``1337,42,7`` as numbers. Raises InputError on anything else."""
    try:
        found = tuple(int(part) for part in text.replace(" ", "").split(",") if part)
    except ValueError as error:
        raise InputError("--seeds", "whole numbers such as 1337,42,7", repr(text)) from error
    if not found or any(seed < 0 for seed in found):
        raise InputError("--seeds", "whole numbers such as 1337,42,7", repr(text))
    return found


def assignments(words: list[str], option: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a mapping. Raises InputError on a word of another shape."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(option, "KEY=VALUE", repr(word))
        found[name] = value
    return found


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(path, "a folder to link as ./data", "a file" if path.exists() else "nothing")
    return path


def _confine(path: Path, sandbox: bool, trust: bool) -> bool:
    """Whether to run in the sandbox: always for a stranger's folder that nobody said to trust."""
    if sandbox and trust:
        raise InputError("--trust", "either --sandbox or --trust", "both")
    if trust or (is_ours(path) and not sandbox):
        return False
    from reproduce.sandbox import refusal

    if (reason := refusal()) is not None:
        raise InputError(
            path, "a sandbox to run a stranger's code in, or --trust to run it with all of your own rights", reason
        )
    return True


def is_ours(path: Path) -> bool:
    """Whether ``path`` is the trainer that comes with golfproof."""
    import submission

    ours = Path(submission.__file__).resolve().parent
    return path.resolve() == ours or path.resolve().parent == ours
