"""Probes one submission: runs it on noise in the sandbox, does the experiments, and says what they came to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audit.finding import Basis, Certainty, Finding, Severity
from audit.probe.experiments import (
    Experiment,
    Status,
    check_bytes,
    check_causality,
    check_coverage,
    check_floor,
    check_mass,
    check_part,
)
from audit.probe.isolation import beginning, check_isolation, check_network
from audit.probe.launch import ENTRY, Launch
from audit.probe.noise import KINDS
from audit.probe.runs import (
    CHOICES,
    EXPERIMENTS,
    FLIP_AT,
    SOURCE,
    Run,
    Runs,
    counterpart,
    headline_stage,
    names,
    pairs,
    planned,
    published_among,
    published_stages,
)
from audit.probe.sweep import sweep
from audit.probe.tokenizer import byte_counts
from reproduce.errors import InputError
from reproduce.folder import open_folder


@dataclass(frozen=True)
class ProbeResult:
    """What the experiments on one submission came to.

    ``verdict``: ``breach`` (an experiment broke a bound that no lawful submission breaks), ``review`` (it could not be
    run, or its headline could not be judged) or ``holds``: nothing that the probe can see is wrong.
    """

    submission: str
    trainer: str
    verdict: str
    reasons: tuple[str, ...]
    experiments: tuple[Experiment, ...]
    findings: tuple[Finding, ...]
    runs: tuple[dict[str, object], ...]
    command: str
    seed: int
    seconds: float


def probe_path(
    path: str | Path,
    *,
    seed: int = 1337,
    keep: Path | None = None,
    unsafe: bool = False,
    plan: Launch | None = None,
    environment: Mapping[str, str] | None = None,
    quick: bool = False,
    source: str = SOURCE,
    experiments: Collection[str] = EXPERIMENTS,
    progress: Callable[[str], None] | None = None,
) -> ProbeResult:
    """Run the submission at ``path`` on noise, once to four times, and judge what it reports.

    ``keep`` is a folder for the runs' files (a temporary one if None). ``environment`` is the submitted configuration;
    left out, it and the arguments are read from the folder's run command and logs. ``source`` is that of the first
    run; ``experiments`` of EXPERIMENTS decide which further runs are made. ``quick`` stops after a run that showed a
    breach. Raises InputError for a folder without a trainer, SandboxUnavailable where nothing may be run.
    """
    if unknown := sorted(set(experiments) - set(CHOICES)):
        raise InputError("experiments", f"of {', '.join(CHOICES)}", ", ".join(unknown))
    if source not in KINDS:
        raise InputError("source", f"one of {', '.join(KINDS)}", source)
    folder = open_folder(path, strict=False)
    if folder.trainer is None:
        raise InputError(path, "a trainer to run", folder.trainer_why)
    started = time.monotonic()
    tell = progress or (lambda text: None)
    plan = planned(folder, replace(plan or Launch(), seed=seed, unsafe=unsafe), environment)
    with tempfile.TemporaryDirectory(prefix="golfproof-probe-") as temporary:
        root = keep or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        makes = Runs(folder, root, plan, source, tell)
        runs = makes.make(
            experiments, lambda first: quick and judge(first, _experiments({"first": first}))[0] == "breach"
        )
        found = (*_experiments(runs), *((sweep(makes),) if "sweep" in experiments else ()))
    verdict, reasons = judge(runs["first"], found, published_stages(folder))
    chosen = "" if set(experiments) == set(EXPERIMENTS) else f" --experiments {','.join(experiments)}"
    chosen += "".join(f" --extra-env {name}={value}" for name, value in plan.extra.items())
    command = f"golfproof probe {path} --seed {seed}{'' if source == SOURCE else f' --source {source}'}{chosen}"
    return ProbeResult(
        folder.name, folder.relative(folder.trainer), verdict, reasons, found,
        tuple(finding(experiment, folder.relative(folder.trainer), seed, command)
              for experiment in found if experiment.status in (Status.BREACH, Status.WARNING)),
        tuple(_summary(run) for run in {id(run): run for run in runs.values()}.values()),
        command, seed, time.monotonic() - started,
    )  # fmt: skip


def _experiments(runs: Mapping[str, Run]) -> list[Experiment]:
    first, other = runs["first"], runs.get("flipped")
    counts = byte_counts(first.stream.tokens, max(1024, int(first.stream.tokens.max()) + 1))
    found: list[Experiment] = []
    started = [attempt for attempt in first.ran.result.attempts if attempt.startswith("started: ")]
    unheard = any("python" in attempt for attempt in started) and len(first.recordings) == 1
    for stage, flipped in pairs(runs):
        if unheard and stage.explained is None:
            why = "the program started another, and which data that one scored is not known"
            undone = ("floor", "normalisation", "causality", "bytes", "coverage")
            found += [Experiment(n, stage.metric.stage, Status.UNCHECKED, why, first.stream.source) for n in undone]
            continue
        found.append(check_floor(stage, first.stream))
        found.append(check_mass(stage, first.stream))
        repeated = counterpart(stage, first, runs.get("repeated"))
        if other is not None:
            if flipped is not None:
                for part in other.parts:
                    found += check_part(flipped, other.stream, part, FLIP_AT)
                if flipped.explained is None:
                    found.append(check_floor(flipped, other.stream))
            found.append(check_causality(stage, flipped, repeated, FLIP_AT, first.stream))
        found.append(check_bytes(stage, first.stream, counts))
        found.append(check_coverage(stage, first.stream))
    isolated = runs.get("isolated")
    found.append(
        check_isolation(
            first.recordings, beginning(first.recordings, headline_stage(first)),
            removed=None if isolated is None else isolated.ran.removed,
            failure="" if isolated is None else isolated.failure or _missing(first, isolated),
        )
    )  # fmt: skip
    found.append(check_network(first.ran.result.attempts))
    return found


def _missing(first: Run, isolated: Run) -> str:
    """Figures of the first run that the run without training shards did not give."""
    lacking = sorted(names(first) - names(isolated))
    return f"without the figures {', '.join(lacking)}" if lacking else ""


def judge(
    first: Run, experiments: Sequence[Experiment], published: Collection[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """The verdict and its reasons, the strongest first; ``published`` are the stages that the score may be of."""
    breaches = [e for e in experiments if e.status is Status.BREACH and not e.stage.startswith("step")]
    if breaches:
        return "breach", tuple(f"{e.name} ({e.stage}, {e.source}): {e.message}" for e in breaches)
    if not first.stages or first.failure:
        return "review", (f"it could not be run to a figure here: {first.failure}",)
    if not published_among(published, names(first)):
        return "review", (
            f"the stage whose figure was published, {' or '.join(published)}, was not reached at toy size",
        )
    headline = headline_stage(first)
    last = headline.metric.stage.removesuffix("_exact") if headline is not None else ""
    unseen = [
        e for e in experiments
        if e.status is Status.UNCHECKED and e.stage.removesuffix("_exact") == last and e.source == first.stream.source
    ]  # fmt: skip
    if any(e.name in ("causality", "normalisation") for e in unseen):
        return "review", tuple(f"{e.name} ({e.stage}): {e.message}" for e in unseen)
    return "holds", ("no experiment broke a bound",)


def finding(experiment: Experiment, trainer: str, seed: int, command: str) -> Finding:
    """A breach as the audit reports it: basis measurement, with the numbers, the seed and how to repeat it."""
    breach = experiment.status is Status.BREACH
    file, line = trainer, None
    if experiment.site is not None and f"/{ENTRY}/" in experiment.site[0]:
        file, line = experiment.site[0].partition(f"/{ENTRY}/")[2], experiment.site[1]
    return Finding(
        rule=f"PROBE-{experiment.name.upper()}",
        message=f"{experiment.stage + ': ' if experiment.stage else ''}{experiment.message}",
        severity=Severity.ERROR if breach else Severity.WARNING,
        certainty=Certainty.HIGH if breach else Certainty.MEDIUM,
        basis=Basis.MEASUREMENT,
        reference=f"experiment {experiment.name} on {experiment.source or 'noise'}, seed {seed}; repeat: {command}",
        file=file,
        line=line,
        because=f"can be an instance of {', '.join(experiment.rules)}" if experiment.rules else "",
        data={"bound": experiment.bound, "measured": experiment.measured, "rules": list(experiment.rules), "seed": seed,
              **experiment.data},
    )  # fmt: skip


def _summary(run: Run) -> dict[str, object]:
    result = run.ran.result
    return {
        "run": run.name,
        "source": run.stream.source,
        "seconds": round(result.seconds, 1),
        "cpu_seconds": round(result.cpu_seconds, 1),
        "returncode": result.returncode,
        "ended_by": result.ended_by,
        "peak_memory_bytes": result.peak_memory_bytes,
        "failure": run.failure,
        "attempts": list(result.attempts),
        "figures": [
            {
                "stage": s.metric.stage,
                "val_loss": s.metric.val_loss,
                "val_bpb": s.metric.val_bpb,
                "seen": s.explained is not None,
            }
            for s in run.stages
        ],
        "changed": run.changed,
        "tried_cpu_seconds": round(run.tried_cpu_seconds, 1),
        "processes": len(run.recordings),
        "training_shards_removed": run.ran.removed,
        "settings": {k: v[1] for tape in run.recordings for k, v in tape.asked.items() if v[0] != v[1]},
        "trained_passes": sum(len(tape.trained) for tape in run.recordings),
    }
