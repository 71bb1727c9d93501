"""``golfproof probe``: run a submission on noise in the sandbox and hold what it reports against what is possible."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from audit.probe.probe import ProbeResult


class ProbeFormat(StrEnum):
    text = "text"
    json = "json"


def probe(
    path: Path | None = typer.Argument(None, help="Submission folder, or its trainer file."),
    corpus: Path | None = typer.Option(
        None, "--corpus", help="Probe every submission below this folder: a JSON line each."
    ),
    jobs: int = typer.Option(1, "--jobs", min=1, help="Processes for --corpus."),
    executor: str = typer.Option("local", help="Where --corpus works: local, or ray (machines that see the folder)."),
    address: str | None = typer.Option(None, help="Of the Ray cluster. [RAY_ADDRESS, else one on this machine]"),
    seed: int = typer.Option(1337, "--seed", min=0, help="Seed of the noise and of the trainer."),
    source: str = typer.Option(
        "spike", "--source", help="Noise of the first run: spike, uniform, zipf, alias, markov or repeating."
    ),
    experiments: str = typer.Option(
        "floor,causality,isolation",
        "--experiments",
        help="Runs to make, separated by commas: floor (the first, always), causality (changed tail, of sources that"
        " tempt caches), isolation (training shards removed as evaluation begins; shares the run of causality).",
    ),
    extra_env: list[str] = typer.Option(
        [], "--extra-env", help="NAME=VALUE, over what the folder shows was set; may be given again."
    ),
    quick: bool = typer.Option(False, "--quick", help="Stop after the first run if it already broke a bound."),
    steps: int | None = typer.Option(None, "--steps", min=1, max=10_000, help="Training steps of a run. [12]"),
    cpu_seconds: int = typer.Option(180, "--cpu-seconds", min=5, help="CPU time one run may take."),
    wall_seconds: float = typer.Option(600.0, "--wall-seconds", min=5, help="Wall time one run may take."),
    keep: Path | None = typer.Option(None, "--keep", help="Folder to keep logs, tapes and shards in."),
    gpu: bool = typer.Option(False, "--gpu", help="Use this machine's GPU instead of redirecting CUDA to the CPU."),
    strict: bool = typer.Option(False, "--strict", help="Exit 1 for `review`, too."),
    unsafe_no_sandbox: bool = typer.Option(
        False, "--unsafe-no-sandbox", help="Run a stranger's code with YOUR rights, files and network."
    ),
    format: ProbeFormat = typer.Option(ProbeFormat.text, "--format", help="How to print the result."),
) -> None:
    """Nobody compresses noise: experiments on data of known entropy, in a sandbox, at toy size.

    Verdicts: breach (a bound broke that no lawful submission breaks), review (it could not be run or judged), holds.
    Exit code: 0 unless there is a breach, which gives 1; 2 on unusable input or where no sandbox can be built.
    """
    from dataclasses import asdict, replace

    from audit.probe.launch import PROBE_LIMITS, Launch
    from audit.probe.probe import probe_path
    from audit.probe.shrink import Toy
    from reproduce.errors import InputError

    if unsafe_no_sandbox:
        typer.echo("golfproof: NO SANDBOX: the submission runs with your rights, files and network", err=True)
    toy = Toy() if steps is None else Toy(steps=steps)
    limits = replace(PROBE_LIMITS, cpu_seconds=cpu_seconds, wall_seconds=wall_seconds)
    launch = Launch(toy=toy, limits=limits, gpu=gpu)
    chosen = tuple(name.strip() for name in experiments.split(",") if name.strip())
    extra = {}
    for word in extra_env:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise InputError("--extra-env", "NAME=VALUE", word)
        extra[name] = value
    launch = replace(launch, extra=extra)
    if corpus is not None:
        from audit.probe.corpus import Settings, probe_corpus
        from reproduce.executors import open_executor

        where = open_executor(executor, workers=jobs, address=address, num_gpus=1.0 if gpu else 0.0)
        for record in probe_corpus(corpus, where, Settings(seed, launch, quick, unsafe_no_sandbox, source, chosen)):
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()
        return
    if path is None:
        raise InputError("golfproof probe", "a submission folder, a trainer file or --corpus", "none")
    result = probe_path(
        path,
        seed=seed,
        keep=keep,
        unsafe=unsafe_no_sandbox,
        plan=launch,
        quick=quick,
        source=source,
        experiments=chosen,
        progress=lambda text: typer.echo(f"  {text} ...", err=True) if sys.stderr.isatty() else None,
    )
    if format is ProbeFormat.json:
        typer.echo(json.dumps(asdict(result), indent=2, default=str))
    else:
        for line in text(result):
            typer.echo(line)
    if result.verdict == "breach" or (strict and result.verdict == "review"):
        raise typer.Exit(1)


def text(result: ProbeResult) -> list[str]:
    """The result as lines: verdict, reasons, one line an experiment, one line a run, the command that repeats it."""
    lines = [f"{result.verdict.upper()}  {result.submission} ({result.trainer})"]
    lines += [f"  {reason}" for reason in result.reasons]
    lines.append("")
    stage = None
    for experiment in result.experiments:
        if experiment.stage != stage:
            stage = experiment.stage
            lines.append(stage or "the whole run")
        name = f"{experiment.name} ({experiment.source})" if experiment.source else experiment.name
        lines.append(f"  {experiment.status.upper():<10}{name:<36}{experiment.message}")
    lines.append("")
    for run in result.runs:
        attempts = run["attempts"]
        assert isinstance(attempts, list)
        tried = f"; it tried: {'; '.join(map(str, attempts[:5]))}" if attempts else ""
        ended = f", {run['failure']}" if run["failure"] else ""
        ended += f" (with {run['changed']})" if run["changed"] else ""
        ended += " (training shards removed as evaluation began)" if run["training_shards_removed"] else ""
        lines.append(
            f"run {run['run']} on {run['source']}: {run['seconds']} s ({run['cpu_seconds']} s CPU){ended}{tried}"
        )
    lines.append(f"repeat: {result.command}")
    from reports.escape import plain

    return [plain(line) for line in lines]
