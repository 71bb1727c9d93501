"""Probes one submission: runs it on noise in the sandbox, does the experiments, and says what they came to."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
    check_mass,
    check_part,
    stages,
)
from audit.probe.isolation import beginning, check_isolation, check_network
from audit.probe.launch import ENTRY, TRAIN_TOKENS, VALIDATION_TOKENS, Launch, Ran, launch, write_data
from audit.probe.noise import KINDS, Part, Source, Stream, flip_tail
from audit.probe.recording import Recording, read_recording
from audit.probe.shrink import Toy
from audit.probe.tokenizer import SMALLEST, byte_counts
from audit.settings import resolve
from audit.source import read_sources
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder, open_folder
from reproduce.logs import read_log
from reproduce.runlog import RunLog

FLIP_AT = VALIDATION_TOKENS // 2 + 37  # inside a stride, a sequence and a chunk, so that each of them straddles it
SOURCE = "spike"
EXPERIMENTS = (
    "floor",
    "causality",
    "isolation",
)  # what decides which runs are made; the others need no run of their own
HOPELESS = ("ModuleNotFoundError", "SyntaxError", "CannotRun")  # no other size or start helps
PATHS = {"DATA_PATH", "DATA_DIR", "TOKENIZER_PATH", "OUT_DIR", "OUTPUT_DIR", "ARTIFACT_DIR", "PATH", "PYTHONPATH"}
QUICK_FAILURE_SECONDS = 60.0  # of CPU time: as long as failed runs took no more, another way is tried


@dataclass(frozen=True)
class Run:
    """One run on one stream: its log and its tape, where they could be read."""

    name: str
    stream: Stream
    ran: Ran
    log: RunLog | None
    recordings: tuple[Recording, ...]  # of the processes that it started or became, in the order in which they began
    stages: tuple[Stage, ...]
    parts: tuple[Part, ...] = ()  # of the stream that other sources were drawn for
    changed: str = ""  # how it was run other than first tried, for people
    tried_cpu_seconds: float = 0.0  # what the tries before it took

    @property
    def failure(self) -> str:
        """Why there is no figure to judge, in one line; empty where there is one."""
        result = self.ran.result
        if self.stages and result.ok:
            return ""
        if result.ended_by:
            return f"ended by its limit on {result.ended_by} after {result.seconds:.0f} s"
        failures = [tape.failure for tape in self.recordings if tape.failure]
        if failures:
            return failures[-1].splitlines()[0][:300]
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
    if unknown := sorted(set(experiments) - set(EXPERIMENTS)):
        raise InputError("experiments", f"of {', '.join(EXPERIMENTS)}", ", ".join(unknown))
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
        runs = _Runs(folder, root, plan, source, tell).make(experiments, quick)
        found = tuple(_experiments(runs))
    verdict, reasons = judge(runs["first"], found, published_stage(folder))
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


def planned(folder: SubmissionFolder, plan: Launch, environment: Mapping[str, str] | None = None) -> Launch:
    """``plan`` with the submitted environment, arguments and, where it is smaller than the toy one, vocabulary."""
    size = None
    if environment is None:
        environment, arguments, size = submitted(folder)
        plan = replace(plan, arguments=arguments)
    return replace(plan, environment=environment, toy=_fitting(plan.toy, size))


def _fitting(toy: Toy, vocabulary: int | None) -> Toy:
    """Trainers check that their vocabulary is the tokenizer's: one smaller than the toy one is taken as it is."""
    if vocabulary is None or not SMALLEST <= vocabulary < toy.vocabulary:
        return toy
    return replace(toy, vocabulary=vocabulary)


def submitted(folder: SubmissionFolder) -> tuple[dict[str, str], tuple[str, ...], int | None]:
    """The environment and the arguments that made the submission, as run command and logs show them, without paths
    and what the text leaves open, and its vocabulary size; empty and None where the code cannot be read."""
    try:
        settings = resolve(folder, read_sources(folder))
    except InputError:
        return {}, (), None
    left_out = PATHS | set(folder.run_command.open_values if folder.run_command is not None else ())
    environment = {
        name: value for name, value in settings.environment.items()
        if name not in left_out and not value.startswith(("/", "~"))  # a place on its author's machine
    }  # fmt: skip
    default = settings.configuration.variables.get("VOCAB_SIZE", (None,))[0]
    size = environment.get("VOCAB_SIZE", str(default)).strip("'\"").replace("_", "")
    return environment, settings.arguments, int(size) if size.isdigit() else None


def streams(seed: int, vocabulary: int, source: str = SOURCE) -> tuple[Stream, Stream]:
    """Validation and training, of one source."""
    law = Source(source, vocabulary)
    return law.draw(VALIDATION_TOKENS, seed), law.draw(TRAIN_TOKENS, seed + 1)


@dataclass
class _Runs:
    """The runs of one probe, made as they are needed."""

    folder: SubmissionFolder
    root: Path
    plan: Launch
    source: str
    tell: Callable[[str], None]

    def make(self, experiments: Collection[str], quick: bool) -> dict[str, Run]:
        self.tell("running it on noise")
        first = self.first()
        runs = {"first": first}
        if not first.stages or (quick and judge(first, _experiments(runs))[0] == "breach"):
            return runs
        begun = beginning(first.recordings, headline_stage(first))
        away = begun.plan() if "isolation" in experiments and begun is not None and not first.failure else None
        validation = first.stream
        if "causality" in experiments:
            stream, parts = flip_tail(validation, self.plan.seed, FLIP_AT, self.plan.toy.vocabulary)
            self.tell("running it again with the second half of the validation stream changed")
            flipped = self.run("flipped", stream, evaluation=away, parts=parts)
            if away is not None and flipped.failure:  # was it the change, or the shards that were taken away?
                runs["isolated"] = replace(flipped, name="isolated")
                self.tell("it ended early: once more with its training shards")
                flipped = self.run("flipped", stream, parts=parts)
            elif away is not None:
                runs["isolated"] = flipped
            runs["flipped"] = flipped
            if _moved(runs):
                self.tell("scores moved: running the first once more, to see whether they move by chance")
                runs["repeated"] = self.run("repeated", validation, evaluation=away if flipped.ran.removed else None)
        elif away is not None:
            self.tell("running it again without training shards for the evaluation")
            runs["isolated"] = self.run("isolated", validation, evaluation=away)
        return runs

    def first(self) -> Run:
        """The first run; where it fails early, the best of other ways to run it, which the later runs then take."""
        published = published_stage(self.folder)
        run = self.run("first", self.stream())
        if _reached(run, published):
            return run
        best, plan, spent = run, self.plan, run.ran.result.cpu_seconds
        for changed, other in self.ways(run):
            if not run.failure or run.ran.result.ended_by or spent > QUICK_FAILURE_SECONDS:
                break
            if run.failure.startswith(HOPELESS):
                break
            self.tell(f"it failed ({run.failure[:80]}): trying {changed}")
            self.plan = other
            again = replace(self.run("first", self.stream()), changed=changed, tried_cpu_seconds=spent)
            spent += again.ran.result.cpu_seconds
            if _reached(again, published):
                return again
            if len(again.stages) > len(best.stages):
                best, plan = again, other
        self.plan = plan
        return replace(best, tried_cpu_seconds=spent - best.ran.result.cpu_seconds)

    def ways(self, run: Run) -> Iterator[tuple[str, Launch]]:
        """Other ways to run what failed."""
        asked = [tape.asked["VOCAB_SIZE"][1] for tape in run.recordings if "VOCAB_SIZE" in tape.asked]
        plan = self.plan
        if asked and asked[-1] and asked[-1].isdigit():
            toy = _fitting(plan.toy, int(asked[-1]))
            if toy != plan.toy:
                plan = replace(plan, toy=toy)
                yield f"its own vocabulary of {asked[-1]}", plan
        if plan.toy.widths:
            yield "its own widths", replace(plan, toy=replace(plan.toy, widths=False, steps=min(plan.toy.steps, 4)))
        if plan.ranks:
            yield "a start without torchrun", replace(plan, ranks=False)

    def stream(self) -> Stream:
        return streams(self.plan.seed, self.plan.toy.vocabulary, self.source)[0]

    def run(
        self, name: str, stream: Stream, evaluation: Mapping[str, object] | None = None, parts: tuple[Part, ...] = ()
    ) -> Run:
        vocabulary = self.plan.toy.vocabulary
        data = self.root / f"data-{name}"
        write_data(data, stream.tokens, streams(self.plan.seed, vocabulary, self.source)[1], vocabulary)
        return _run(name, self.folder, stream, data, self.root, replace(self.plan, evaluation=evaluation), parts)


def _run(
    name: str, folder: SubmissionFolder, stream: Stream, data: Path, root: Path, plan: Launch,
    parts: tuple[Part, ...] = (),
) -> Run:  # fmt: skip
    ran = launch(folder, data, root / name, plan)
    log = None
    with suppress(InputError):
        log = read_log(ran.log)
    recordings = []
    for path in ran.tapes:
        with suppress(InputError):
            recordings.append(read_recording(path))
    metrics = log.metrics if log is not None else ()
    found = stages(metrics, recordings, len(stream.tokens) - 1)
    return Run(name, stream, ran, log, tuple(recordings), found, parts)


def _reached(run: Run, published: str | None) -> bool:
    return bool(run.stages) and not run.failure and published_among(published, _names(run))


def published_among(published: str | None, stages: Collection[str]) -> bool:
    """Whether a run reached the published stage, by its words without those of the number format and the packer, in
    which a log and the code that is shipped with it often differ; yes where no stage is known to be published."""
    return published is None or _words(published) in [_words(stage) for stage in stages]


_PACKING = re.compile(r"^(final|exact|quantized|int\d+|fp\d+|mixed|zlib|zstd\w*|lzma|brotli\w*|\d+|per|group)$")


def _words(stage: str) -> frozenset[str]:
    words = frozenset(re.split(r"[^a-z0-9]+", stage.lower())) - {""}
    return frozenset(word for word in words if not _PACKING.match(word)) or words


def _names(run: Run) -> set[str]:
    return {stage.metric.stage.removesuffix("_exact") for stage in run.stages}


def headline_stage(run: Run) -> Stage | None:
    """The figure that the run's own log gives as its result, or its last one."""
    headline = run.log.headline if run.log is not None else None
    same = [stage for stage in run.stages if headline is not None and stage.metric.stage == headline.stage]
    return (same or list(run.stages) or [None])[-1]  # type: ignore[list-item]


def _moved(runs: Mapping[str, Run]) -> bool:
    stream = runs["first"].stream
    return any(check_causality(*pair, None, FLIP_AT, stream).status is Status.BREACH for pair in _pairs(runs))


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
    first, other = runs["first"], runs.get("flipped")
    counts = byte_counts(first.stream.tokens, max(1024, int(first.stream.tokens.max()) + 1))
    found: list[Experiment] = []
    started = [attempt for attempt in first.ran.result.attempts if attempt.startswith("started: ")]
    unheard = any("python" in attempt for attempt in started) and len(first.recordings) == 1
    for stage, flipped in _pairs(runs):
        if unheard and stage.explained is None:
            why = "the program started another, and which data that one scored is not known"
            names = ("floor", "normalisation", "causality", "bytes", "coverage")
            found += [Experiment(n, stage.metric.stage, Status.UNCHECKED, why, first.stream.source) for n in names]
            continue
        found.append(check_floor(stage, first.stream))
        found.append(check_mass(stage, first.stream))
        repeated = _counterpart(stage, first, runs.get("repeated"))
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
    lacking = sorted(_names(first) - _names(isolated))
    return f"without the figures {', '.join(lacking)}" if lacking else ""


def published_stage(folder: SubmissionFolder) -> str | None:
    """The stage (without ``_exact``) whose figure the submission's own logs give as the result, if any."""
    for path in folder.logs:
        try:
            headline = read_log(path).headline
        except InputError:
            continue
        if headline is not None and not headline.stage.startswith("step"):  # a log that was cut while training
            return headline.stage.removesuffix("_exact")
    return None


def judge(first: Run, experiments: Sequence[Experiment], published: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The verdict and its reasons, the strongest first; ``published`` is the stage that the score is of."""
    breaches = [e for e in experiments if e.status is Status.BREACH and not e.stage.startswith("step")]
    if breaches:
        return "breach", tuple(f"{e.name} ({e.stage}, {e.source}): {e.message}" for e in breaches)
    if not first.stages or first.failure:
        return "review", (f"it could not be run to a figure here: {first.failure}",)
    if not published_among(published, _names(first)):
        return "review", (f"the stage whose figure was published, {published}, was not reached at toy size",)
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
