"""Makes the runs of one probe as they are needed: which streams, which sizes, which ways to start."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from audit.probe.experiments import Stage, Status, check_causality, stages
from audit.probe.isolation import beginning
from audit.probe.launch import TRAIN_TOKENS, VALIDATION_TOKENS, Launch, Ran, launch, write_data
from audit.probe.noise import Part, Source, Stream, flip_tail
from audit.probe.recording import Recording, read_recording
from audit.probe.shrink import STRIDE, Toy
from audit.probe.switches import contradicted, told
from audit.probe.tokenizer import SMALLEST, byte_counts
from audit.settings import resolve
from audit.source import read_sources
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder
from reproduce.logs import read_log
from reproduce.runlog import RunLog

FLIP_AT = VALIDATION_TOKENS // 2 + 37  # inside a stride, a sequence and a chunk, so that each of them straddles it
SOURCE = "spike"
EXPERIMENTS = ("floor", "causality", "isolation")  # they decide which runs are made; most need none of their own
CHOICES = (*EXPERIMENTS, "sweep")
OUT_OF_MEMORY = "can't allocate memory"
HOPELESS = (  # no other size or start helps against these
    "ModuleNotFoundError",
    "FileNotFoundError",
    "SyntaxError",
    "CannotRun",
)
PATHS = {"DATA_PATH", "DATA_DIR", "TOKENIZER_PATH", "OUT_DIR", "OUTPUT_DIR", "ARTIFACT_DIR", "PATH", "PYTHONPATH"}
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")  # of the shell, which the run command leaves open
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
    arguments = tuple(_VARIABLE.sub(lambda name: "1337" if "seed" in name[1].lower() else "probe", a)
                      for a in settings.arguments)  # fmt: skip
    return environment, arguments, int(size) if size.isdigit() else None


def streams(seed: int, vocabulary: int, source: str = SOURCE) -> tuple[Stream, Stream]:
    """Validation and training, of one source."""
    law = Source(source, vocabulary)
    return law.draw(VALIDATION_TOKENS, seed), law.draw(TRAIN_TOKENS, seed + 1)


@dataclass
class Runs:
    """The runs of one probe: of ``folder``, below ``root``, by ``plan``, the first on ``source``."""

    folder: SubmissionFolder
    root: Path
    plan: Launch
    source: str
    tell: Callable[[str], None]

    def make(self, experiments: Collection[str], enough: Callable[[Run], bool]) -> dict[str, Run]:
        """The runs that ``experiments`` need, by name; no more than the first where that is ``enough``."""
        self.tell("running it on noise")
        first = self.first()
        runs = {"first": first}
        if not first.stages or enough(first):
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
            if moved(runs):
                self.tell("scores moved: running the first once more, to see whether they move by chance")
                runs["repeated"] = self.run("repeated", validation, evaluation=away if flipped.ran.removed else None)
        elif away is not None:
            self.tell("running it again without training shards for the evaluation")
            runs["isolated"] = self.run("isolated", validation, evaluation=away)
        return runs

    def first(self) -> Run:
        """The first run; where it fails early, the best of other ways to run it, and where the submission's logs tell
        of other switches, with these; the later runs then take the same."""
        run = self._working()
        flips = self._contradicted(run)
        if not run.stages or run.failure or not flips:
            return run
        told = ", ".join(f"{name}={value}" for name, value in sorted(flips.items()))
        self.tell(f"its logs tell of other switches: running it with {told}")
        before, spent = self.plan, run.tried_cpu_seconds + run.ran.result.cpu_seconds
        self.plan = replace(before, environment={**before.environment, **flips})
        changed = f"{run.changed + '; ' if run.changed else ''}{told}, as its logs tell"
        again = replace(self.run("first", self.stream()), changed=changed, tried_cpu_seconds=spent)
        published = published_stages(self.folder)
        if again.stages and not again.failure and reached(again, published) >= reached(run, published):
            return again
        self.plan = before
        return replace(run, tried_cpu_seconds=spent - run.ran.result.cpu_seconds + again.ran.result.cpu_seconds)

    def _contradicted(self, run: Run) -> dict[str, str]:
        code: set[str] = set()
        texts = []
        for path in self.folder.logs:
            with suppress(InputError, OSError):
                code |= {line.strip() for line in (read_log(path).source or "").splitlines()}
                texts.append(path.read_text(errors="replace"))
        if self.folder.trainer is not None:
            code |= {line.strip() for line in self.folder.trainer.read_text(errors="replace").splitlines()}
        fixed = {*self.plan.environment, *self.plan.extra}
        asked = {
            name: values[0] for tape in run.recordings for name, values in tape.asked.items()
            if name not in fixed and values[0] == values[1]
        }  # fmt: skip
        return contradicted(asked, [told(text, code) for text in texts], told(run.ran.result.output, code))

    def _working(self) -> Run:
        """The first run, or the best of other ways to run it."""
        published = published_stages(self.folder)
        run = self.run("first", self.stream())
        if reached(run, published):
            return run
        best, plan, spent = run, self.plan, run.ran.result.cpu_seconds
        for changed, other in self.ways(run):
            if spent > QUICK_FAILURE_SECONDS:
                break
            self.tell(f"it failed ({run.failure[:80] or 'published stage not reached'}): trying {changed}")
            self.plan = other
            again = replace(self.run("first", self.stream()), changed=changed, tried_cpu_seconds=spent)
            spent += again.ran.result.cpu_seconds
            if reached(again, published):
                return again
            if (not again.failure, len(again.stages)) > (not best.failure, len(best.stages)):
                best, plan = again, other
        self.plan = plan
        return replace(best, tried_cpu_seconds=spent - best.ran.result.cpu_seconds)

    def ways(self, run: Run) -> Iterator[tuple[str, Launch]]:
        """Other ways to run what failed, or what ended without the published stage."""
        if not run.failure:
            yield from self._to_the_stage(run)
            return
        if run.failure.startswith(HOPELESS):
            return
        small = replace(self.plan, toy=replace(self.plan.toy, constants=True))
        too_large = run.ran.result.ended_by == "memory" or OUT_OF_MEMORY in run.failure
        if too_large:
            yield "sizes of its code made small", small
        if run.ran.result.ended_by:
            return
        asked = [tape.asked["VOCAB_SIZE"][1] for tape in run.recordings if "VOCAB_SIZE" in tape.asked]
        plan = self.plan
        if asked and asked[-1] and asked[-1].isdigit():
            toy = _fitting(plan.toy, int(asked[-1]))
            if toy != plan.toy:
                plan = replace(plan, toy=toy)
                yield f"its own vocabulary of {asked[-1]}", plan
        if plan.toy.widths:
            yield "its own widths", replace(plan, toy=replace(plan.toy, widths=False, steps=min(plan.toy.steps, 4)))
        if not too_large:
            yield "sizes of its code made small", small
            yield "nothing of its code made small", replace(plan, toy=replace(plan.toy, fixed=False))
        if plan.ranks:
            yield "a start without torchrun", replace(plan, ranks=False)

    def _to_the_stage(self, run: Run) -> Iterator[tuple[str, Launch]]:
        """Sizes under which the published stage may run."""
        if any(name.endswith("STRIDE") and tape.asked[name][1] == str(STRIDE) != tape.asked[name][0]
               for tape in run.recordings for name in tape.asked):  # fmt: skip
            yield f"a stride of {STRIDE // 2}", replace(self.plan, toy=replace(self.plan.toy, stride=STRIDE // 2))

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
    counts = byte_counts(stream.tokens, plan.toy.vocabulary)
    found = stages(metrics, recordings, len(stream.tokens) - 1, counts)
    return Run(name, stream, ran, log, tuple(recordings), found, parts)


def reached(run: Run, published: Collection[str]) -> bool:
    return bool(run.stages) and not run.failure and published_among(published, names(run))


def published_among(published: Collection[str], stages: Collection[str]) -> bool:
    """Whether a run reached one of the published stages, by its words without those of the number format and the
    packer, in which a log and the code shipped with it often differ; yes where none is known to be published."""
    reached = [_words(stage) for stage in stages]
    return not published or any(_words(stage) in reached for stage in published)


_PACKING = re.compile(r"^(final|exact|quantized|int\d+|fp\d+|mixed|zlib|zstd\w*|lzma|brotli\w*|\d+|per|group)$")


def _words(stage: str) -> frozenset[str]:
    words = frozenset(re.split(r"[^a-z0-9]+", stage.lower())) - {""}
    kept = frozenset(word for word in words if not _PACKING.match(word)) or words
    return frozenset(re.sub(r"\d+", "#", word) for word in kept)  # slot32steps is slot8steps at toy size


def names(run: Run) -> set[str]:
    return {stage.metric.stage.removesuffix("_exact") for stage in run.stages}


def headline_stage(run: Run) -> Stage | None:
    """The figure that the run's own log gives as its result, or its last one."""
    headline = run.log.headline if run.log is not None else None
    same = [stage for stage in run.stages if headline is not None and stage.metric.stage == headline.stage]
    return (same or list(run.stages) or [None])[-1]  # type: ignore[list-item]


def moved(runs: Mapping[str, Run]) -> bool:
    stream = runs["first"].stream
    return any(check_causality(*pair, None, FLIP_AT, stream).status is Status.BREACH for pair in pairs(runs))


def pairs(runs: Mapping[str, Run]) -> list[tuple[Stage, Stage | None]]:
    """Each figure of the first run with its counterpart in the second: same name, same place in the log."""
    return [(stage, counterpart(stage, runs["first"], runs.get("flipped"))) for stage in runs["first"].stages]


def counterpart(stage: Stage, first: Run, other: Run | None) -> Stage | None:
    if other is None:
        return None
    mine = [s for s in first.stages if s.metric.stage == stage.metric.stage]
    theirs = [s for s in other.stages if s.metric.stage == stage.metric.stage]
    index = next(i for i, s in enumerate(mine) if s is stage)
    return theirs[index] if index < len(theirs) else None


def published_stages(folder: SubmissionFolder) -> tuple[str, ...]:
    """The stages (without ``_exact``) whose figures the submission's own logs give as the result, one a seed at most;
    seeds that were run with different texts of the trainer may name them differently."""
    found: dict[str, None] = {}
    for path in folder.logs:
        try:
            headline = read_log(path).headline
        except InputError:
            continue
        if headline is not None and not headline.stage.startswith("step"):  # a log that was cut while training
            found[headline.stage.removesuffix("_exact")] = None
    return tuple(found)
