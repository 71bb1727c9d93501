"""Probes one submission: runs it on noise in the sandbox, does the experiments, and says what they came to."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from audit.finding import Basis, Certainty, Finding, Severity
from audit.probe.experiments import (
    Experiment,
    Stage,
    Status,
    check_bytes,
    check_causality,
    check_coverage,
    check_floor,
    check_isolation,
    check_mass,
    stages,
)
from audit.probe.launch import TRAIN_TOKENS, VALIDATION_TOKENS, Launch, Ran, launch, write_data
from audit.probe.noise import Source, Stream, flip_tail
from audit.probe.recording import Recording, read_recording
from audit.probe.tokenizer import byte_counts
from audit.settings import resolve
from audit.source import read_sources
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder, open_folder
from reproduce.logs import read_log
from reproduce.runlog import RunLog

FLIP_AT = VALIDATION_TOKENS // 2 + 37  # inside a stride, a sequence and a chunk, so that each of them straddles it
SOURCE = "spike"
PATHS = {"DATA_PATH", "DATA_DIR", "TOKENIZER_PATH", "OUT_DIR", "OUTPUT_DIR", "ARTIFACT_DIR", "PATH", "PYTHONPATH"}


@dataclass(frozen=True)
class Run:
    """One run on one stream: its log and its tape, where they could be read."""

    name: str
    stream: Stream
    ran: Ran
    log: RunLog | None
    recording: Recording | None
    stages: tuple[Stage, ...]

    @property
    def failure(self) -> str:
        """Why there is no figure to judge, in one line; empty where there is one."""
        result = self.ran.result
        if self.stages and result.ok:
            return ""
        if result.ended_by:
            return f"ended by its limit on {result.ended_by} after {result.seconds:.0f} s"
        if self.recording is not None and self.recording.failure:
            return self.recording.failure.splitlines()[0][:300]
        lines = [line for line in result.output.splitlines() if line.strip()]
        return (
            (lines[-1][:300] if lines else f"exit code {result.returncode}") if not result.ok else "no figure reported"
        )


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
    progress: Callable[[str], None] | None = None,
) -> ProbeResult:
    """Run the submission at ``path`` on noise, twice or three times, and judge what it reports.

    ``keep`` is a folder for the runs' files (a temporary one if None). ``environment`` is the submitted configuration;
    left out, it and the arguments are read from the folder's run command and logs. ``quick`` stops after a run that
    showed a breach. Raises InputError for a folder without a trainer, and SandboxUnavailable where nothing may be run.
    """
    folder = open_folder(path, strict=False)
    if folder.trainer is None:
        raise InputError(path, "a trainer to run", folder.trainer_why)
    started = time.monotonic()
    tell = progress or (lambda text: None)
    plan = replace(plan or Launch(), seed=seed, unsafe=unsafe)
    if environment is None:
        environment, arguments = submitted(folder)
        plan = replace(plan, arguments=arguments)
    plan = replace(plan, environment=environment)
    with tempfile.TemporaryDirectory(prefix="golfproof-probe-") as temporary:
        root = keep or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        runs = _runs(folder, root, plan, quick, tell)
        experiments = tuple(_experiments(runs))
    verdict, reasons = judge(runs["first"], experiments, published_stage(folder))
    command = f"golfproof probe {path} --seed {seed}"
    return ProbeResult(
        folder.name, folder.relative(folder.trainer), verdict, reasons, experiments,
        tuple(finding(experiment, folder.relative(folder.trainer), seed, command)
              for experiment in experiments if experiment.status in (Status.BREACH, Status.WARNING)),
        tuple(_summary(run) for run in runs.values()), command, seed, time.monotonic() - started,
    )  # fmt: skip


def submitted(folder: SubmissionFolder) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment and the arguments that made the submission, as run command and logs show them, without paths
    and what the text leaves open; both empty where the code cannot be read."""
    try:
        settings = resolve(folder, read_sources(folder))
    except InputError:
        return {}, ()
    left_out = PATHS | set(folder.run_command.open_values if folder.run_command is not None else ())
    environment = {name: value for name, value in settings.environment.items() if name not in left_out}
    return environment, settings.arguments


def streams(seed: int, vocabulary: int) -> tuple[Stream, Stream]:
    """Validation and training, of one source."""
    source = Source(SOURCE, vocabulary)
    return source.draw(VALIDATION_TOKENS, seed), source.draw(TRAIN_TOKENS, seed + 1)


def _runs(
    folder: SubmissionFolder, root: Path, plan: Launch, quick: bool, tell: Callable[[str], None]
) -> dict[str, Run]:
    vocabulary = plan.toy.vocabulary
    validation, train = streams(plan.seed, vocabulary)
    flipped = flip_tail(validation, plan.seed, FLIP_AT, vocabulary)
    write_data(root / "data", validation.tokens, train, vocabulary)
    write_data(root / "data-flipped", flipped, train, vocabulary)
    tell("running it on noise")
    runs = {"first": _run("first", folder, validation, root / "data", root, plan)}
    if not runs["first"].stages:
        return runs
    if quick and judge(runs["first"], _experiments(runs))[0] == "breach":
        return runs
    tell("running it again with the second half of the validation stream changed")
    runs["flipped"] = _run("flipped", folder, validation, root / "data-flipped", root, plan)
    moved = [pair for pair in _pairs(runs) if check_causality(*pair, None, FLIP_AT, validation).status is Status.BREACH]
    if moved:
        tell("scores moved: running the first once more, to see whether they move by chance")
        runs["repeated"] = _run("repeated", folder, validation, root / "data", root, plan)
    return runs


def _run(name: str, folder: SubmissionFolder, stream: Stream, data: Path, root: Path, plan: Launch) -> Run:
    ran = launch(folder, data, root / name, plan)
    log, recording = None, None
    with suppress(InputError):
        log = read_log(ran.log)
    with suppress(InputError):
        recording = read_recording(ran.tape) if ran.tape is not None else None
    metrics = log.metrics if log is not None else ()
    return Run(name, stream, ran, log, recording, stages(metrics, recording, len(stream.tokens) - 1))


def _pairs(runs: Mapping[str, Run]) -> list[tuple[Stage, Stage | None]]:
    """Each figure of the first run with its counterpart in the second: same name, same place in the log."""
    return [(stage, _counterpart(stage, runs["first"], runs.get("flipped"))) for stage in runs["first"].stages]


def _counterpart(stage: Stage, first: Run, other: Run | None) -> Stage | None:
    if other is None:
        return None
    mine = [s for s in first.stages if s.metric.stage == stage.metric.stage]
    theirs = [s for s in other.stages if s.metric.stage == stage.metric.stage]
    index = next(i for i, s in enumerate(mine) if s is stage)
    return theirs[index] if index < len(theirs) else None


def _experiments(runs: Mapping[str, Run]) -> list[Experiment]:
    first = runs["first"]
    counts = byte_counts(first.stream.tokens, 1024)
    found: list[Experiment] = []
    elsewhere = any(attempt.startswith("started: ") and "python" in attempt for attempt in first.ran.result.attempts)
    for stage, flipped in _pairs(runs):
        if elsewhere and stage.explained is None:
            why = "the program started another, and which data that one scored is not known"
            names = ("floor", "normalisation", "causality", "bytes", "coverage")
            found += [Experiment(n, stage.metric.stage, Status.UNCHECKED, why, first.stream.source) for n in names]
            continue
        found.append(check_floor(stage, first.stream))
        found.append(check_mass(stage, first.stream))
        repeated = _counterpart(stage, first, runs.get("repeated"))
        if "flipped" in runs:
            found.append(check_causality(stage, flipped, repeated, FLIP_AT, first.stream))
        found.append(check_bytes(stage, first.stream, counts))
        found.append(check_coverage(stage, first.stream))
    if first.recording is not None:
        found += check_isolation(first.recording, first.ran.result.attempts)
    return found


def published_stage(folder: SubmissionFolder) -> str | None:
    """The stage whose figure the submission's own logs give as the result; None where they tell none."""
    for path in folder.logs:
        try:
            headline = read_log(path).headline
        except InputError:
            continue
        if headline is not None:
            return headline.stage
    return None


def judge(first: Run, experiments: Sequence[Experiment], published: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The verdict and its reasons, the strongest first; ``published`` is the stage that the score is of."""
    breaches = [e for e in experiments if e.status is Status.BREACH and not e.stage.startswith("step")]
    if breaches:
        return "breach", tuple(f"{e.name} ({e.stage}): {e.message}" for e in breaches)
    if not first.stages or first.failure:
        return "review", (f"it could not be run to a figure here: {first.failure}",)
    reached = {stage.metric.stage.removesuffix("_exact") for stage in first.stages}
    if published is not None and published.removesuffix("_exact") not in reached:
        return "review", (f"the stage whose figure was published, {published}, was not reached at toy size",)
    headline = first.log.headline if first.log is not None else None
    last = first.stages[-1].metric.stage if headline is None else headline.stage
    unseen = [
        e for e in experiments
        if e.status is Status.UNCHECKED and e.stage.removesuffix("_exact") == last.removesuffix("_exact")
    ]  # fmt: skip
    if any(e.name in ("causality", "normalisation") for e in unseen):
        return "review", tuple(f"{e.name} ({e.stage}): {e.message}" for e in unseen)
    return "holds", ("no experiment broke a bound",)


def finding(experiment: Experiment, trainer: str, seed: int, command: str) -> Finding:
    """A breach as the audit reports it: basis measurement, with the numbers, the seed and how to repeat it."""
    breach = experiment.status is Status.BREACH
    file, line = trainer, None
    if experiment.site is not None and experiment.site[0].startswith("/sandbox/"):
        file, line = experiment.site[0].removeprefix("/sandbox/"), experiment.site[1]
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
        "settings": {} if run.recording is None else {k: v[1] for k, v in run.recording.asked.items() if v[0] != v[1]},
        "trained_passes": 0 if run.recording is None else len(run.recording.trained),
    }
