"""Runs one seed twice and shows where the two runs first differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reproduce.errors import InputError
from reproduce.logs import read_log
from reproduce.rundir import RunDirectory, SeedRun, State
from reproduce.runlog import RunLog
from reproduce.runner import OnProgress, Options, run_seeds


@dataclass(frozen=True)
class Divergence:
    """The first figure that differs between two runs of one seed, in the order a run prints them."""

    where: str  # "step 120 train_loss", "final_x val_bpb", "artifact"
    first: str
    second: str


@dataclass(frozen=True)
class Determinism:
    """``divergence`` is None where every loss, score and the artifact agree; ``compared`` counts the figures."""

    seed: int
    compared: int
    divergence: Divergence | None
    notes: tuple[str, ...] = ()


def check_determinism(
    folder: Path,
    seed: int,
    *,
    out: Path,
    command: str | None = None,
    env: Mapping[str, str] | None = None,
    progress: OnProgress | None = None,
    options: Options | None = None,
) -> Determinism:
    """Run ``seed`` in ``out/first`` and ``out/second``. Raises InputError where one of them does not finish."""
    runs = []
    for name in ("first", "second"):
        directory = RunDirectory(out / name)
        run_seeds(
            folder,
            [seed],
            out=directory.path,
            command=command,
            env=env,
            progress=progress,
            options=options or Options(),
        )
        run = directory.read(seed)
        if run.state is not State.FINISHED:
            raise InputError(directory.path, f"a finished run of seed {seed}", f"{run.state}: {run.why}")
        runs.append((run, read_log(directory.log(seed))))
    return first_difference(runs[0], runs[1])


def first_difference(first: tuple[SeedRun, RunLog], second: tuple[SeedRun, RunLog]) -> Determinism:
    """Compare two runs of one seed: losses by step, scores by stage, then the artifact's hash. Times do not count."""
    one, two = _figures(*first), _figures(*second)
    notes = []
    for (where, value), (other_where, other) in zip(one, two, strict=False):
        if where != other_where:
            return Determinism(first[0].seed, len(one), Divergence(where, value, f"(prints {other_where})"))
        if value != other:
            return Determinism(first[0].seed, len(one), Divergence(where, value, other))
    if len(one) != len(two):
        longer, mine = (one, True) if len(one) > len(two) else (two, False)
        where, value = longer[min(len(one), len(two))]
        ends = (value, "(ended)") if mine else ("(ended)", value)
        return Determinism(first[0].seed, len(one), Divergence(where, *ends))
    if first[0].artifact is None:
        notes.append("neither run left an artifact to compare")
    return Determinism(first[0].seed, len(one), None, tuple(notes))


def _figures(run: SeedRun, log: RunLog) -> list[tuple[str, str]]:
    found = []
    for step in log.curve:
        for name, value in (("train_loss", step.train_loss), ("val_loss", step.val_loss), ("val_bpb", step.val_bpb)):
            if value is not None:
                found.append((f"step {step.step} {name}", repr(value)))
    for metric in log.metrics:
        for name, value in (("val_loss", metric.val_loss), ("val_bpb", metric.val_bpb)):
            if value is not None:
                found.append((f"{metric.stage} {name}", repr(value)))
    if run.artifact is not None:
        found.append(("artifact", run.artifact.sha256))
    return found
