"""The rule on seeds: three different runs of one configuration stand behind the score."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis, Severity
from audit.rule import Example
from reproduce.errors import InputError
from reproduce.logtext import LineReader
from reproduce.runlog import RunLog, source_hash

_LOG = (
    "{source}seed:{seed}\niterations:20000 matrix_lr:{lr}\nstep:{step}/20000 train_loss:2.{seed:04d} train_time:9ms\n"
)
_LOG += "final_exact val_loss:2.00000000 val_bpb:{score:.8f}\n"
_CODE = {"train_gpt.py": "import torch\nx = 1\n"}


def _logs(**changes: dict) -> dict[str, str]:
    """Three logs; ``changes`` of one seed are keyed by its name."""
    logs = {}
    for seed in (1, 2, 3):
        row = {"source": "", "seed": seed, "lr": 0.02, "step": 7000 + seed, "score": 1.1 + seed / 1000}
        row |= changes.get(f"s{seed}", {})
        logs[f"train_seed{seed}.log"] = _LOG.format(**row)
    return logs


HAIR = 1e-3  # of a number that is no whole one
# Settings that name the run or the machine; they may differ between the seeds of one configuration.
_PER_RUN = (
    "seed", "run_id", "logfile", "log", "path", "dir", "rank", "port", "time", "date", "host", "gpu", "device",
    "output", "step", "loss", "bpb", "elapsed", "pid", "uuid", "node", "out", "master", "artifact", "folder", "file",
    "world_size", "scale", "warmup", "driver", "memory", "mem", "name", "tag", "shm", "bytes", "val_tokens", "hash",
    "sha",
)  # fmt: skip
# What logs print like settings before or between them: losses, norms and sizes.
_MEASURED = frozenset(
    {"bl", "bb", "rl", "rb", "norm", "zstd", "zlib", "brotli", "lzma", "total", "size_check", "version"}
)
# Paths, dates, addresses and versions, times and counts that are measured.
_NO_SETTING = re.compile(r"[/\\]|\d{4}-\d\d-\d\d|\d\.\d+\.\d|\d\.\d+m?s |~\d|mean=", re.IGNORECASE)


class SSeeds(EvidenceRule):
    id = "S-SEEDS"
    title = "seeds"
    order = 61
    of_runs = False
    severity = Severity.WARNING
    basis = Basis.RULING
    reference = "README; #1963, #2020, #2121, #2124 (another configuration), #2139 (one run)"
    forbids = "Fewer seeds than claimed, one log used for two seeds, runs of different code or settings as one."
    why = "Seeds measure chance only if nothing else changes between them."
    comply = "Run the same script with the same settings for three seeds, and ship each log as it was written."
    VALID: ClassVar[tuple[Example, ...]] = ({**_CODE, **_logs()},)
    INVALID: ClassVar[tuple[Example, ...]] = (
        {**_CODE, "train_seed1.log": _logs()["train_seed1.log"]},
        {**_CODE, **_logs(s2={"seed": 1, "step": 7001, "score": 1.101})},
        {**_CODE, **_logs(s3={"lr": 0.03})},
        {**_CODE, **_logs(s1={"source": "import torch\nx = 1\n"}, s2={"source": "import torch\nx = 1\ny = x\n"})},
        {**_CODE, **_logs(), "submission.json": '{"seeds": {"1": 1.101, "2": 1.102, "3": 1.103, "4": 1.104}}'},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        yield self._count(evidence)
        yield self._missing(evidence)
        yield self._twice(evidence)
        yield from self._code(evidence)
        yield self._settings(evidence)

    def _count(self, evidence: Evidence) -> Check:
        wanted = evidence.limits.seeds
        limit = f"{wanted} seeds"
        found = len({_key(run) for run in evidence.reported})
        if not evidence.reported:
            return self.line(Status.UNCHECKED, "no log has a score", limit=limit)
        if evidence.non_record and found < wanted:
            return self.line(Status.UNCHECKED, f"{found}; the non-record track asks for none", limit=limit)
        few = found < wanted
        return self.line(
            Status.WARN if few else Status.PASS,
            str(found),
            f"{found} seed(s) have a log with a score, the contest asks for {wanted}" if few else "",
            limit=limit, file=evidence.place(evidence.reported[0]), seeds=found,
        )  # fmt: skip

    def _missing(self, evidence: Evidence) -> Check:
        claims = evidence.claims
        claimed = {seed.seed for seed in claims.seeds if seed.seed is not None} | set(claims.seed_list)
        name, limit = "logs of the claimed seeds", "one each"
        if not claimed:
            return self.line(Status.UNCHECKED, "no seeds are claimed", name=name, limit=limit)
        if claims.val_bpb is None and all(seed.val_bpb is None for seed in claims.seeds):
            return self.line(Status.UNCHECKED, "no score is claimed of them", name=name, limit=limit)
        if not evidence.runs:
            return self.line(Status.UNCHECKED, "no logs", name=name, limit=limit)
        there = {run.seed for run in evidence.runs} | {run.named_seed for run in evidence.runs}
        missing = sorted(claimed - there)
        unknown = [run for run in evidence.runs if run.seed is None]
        shown = ", ".join(map(str, missing))
        if missing:
            # Seeds called 1, 2, 3 in the claim may be runs that the logs call by their real seeds.
            renamed = len(missing) == len(claimed) and len(there - {None}) >= len(claimed)
            told = all(_speaks_of(evidence, seed) for seed in missing)  # runs of several seeds in one file
            return self.line(
                Status.UNCHECKED
                if renamed or len(unknown) >= len(missing)
                else Status.WARN
                if told
                else Status.FAIL,
                f"none of seed {shown}",
                f"{len(claimed)} seeds are claimed, but there is no log of seed {shown}"
                + (f" ({len(unknown)} log without a seed)" if unknown else ""),
                name=name, limit=limit, file="submission.json", missing=missing,
            )  # fmt: skip
        return self.line(Status.PASS, f"{len(claimed)} of {len(claimed)}", name=name, limit=limit)

    def _twice(self, evidence: Evidence) -> Check:
        name, limit = "one log a seed", "no log twice"
        runs = [run for run in evidence.reported if run.headline is not None and (run.curve or run.metrics)]
        if len(runs) < 2:
            return self.line(Status.UNCHECKED, "fewer than two logs", name=name, limit=limit)
        seen: dict[object, RunLog] = {}
        for run in runs:
            print_ = (run.headline and run.headline.val_bpb, run.headline and run.headline.val_loss, run.curve[-5:])
            other = seen.get(print_)
            if other is not None and run.headline is not None and run.headline.digits >= 6:
                return self.line(
                    Status.FAIL,
                    f"{evidence.place(other)} = {evidence.place(run)}",
                    f"{evidence.place(other)} and {evidence.place(run)} are one run: same score, same losses",
                    name=name, limit=limit, file=evidence.place(run),
                )  # fmt: skip
            seen[print_] = run
        wrong = [run for run in runs if run.named_seed is not None and run.seed != run.named_seed]
        printed = Counter(run.seed for run in wrong)
        if wrong:
            run = wrong[0]
            shown = f"{evidence.place(run)} ran seed {run.seed}"
            return self.line(
                Status.WARN, shown,
                f"{len(wrong)} log(s) ran another seed than their names say: {shown}"
                + (f", {printed[run.seed]} of them the same" if printed[run.seed] > 1 else ""),
                name=name, limit=limit, file=evidence.place(run),
            )  # fmt: skip
        return self.line(Status.PASS, f"{len(runs)} different runs", name=name, limit=limit)

    def _code(self, evidence: Evidence) -> Iterator[Check]:
        printed = [run for run in evidence.reported if run.source]
        name, limit = "one program for all seeds", "equal code"
        if len(printed) < 2:
            yield self.line(Status.UNCHECKED, "fewer than two logs print their source", name=name, limit=limit)
        else:
            first = printed[0]
            siblings = [run for run in printed[1:] if _shape(run) == _shape(first)]
            other = next((run for run in siblings if not same_program(run.source, first.source)), None)
            if other is None:
                shown = f"{len(siblings) + 1} x {(first.source_hash or '')[:12]}"
                status = Status.PASS if siblings else Status.UNCHECKED
                yield self.line(status, shown, name=name, limit=limit)
            else:
                constants = same_program(other.source, first.source, constants=False)
                yield self.line(
                    Status.WARN if constants else Status.FAIL,
                    f"{evidence.place(other)} differs" + (" in constants" if constants else ""),
                    f"{evidence.place(other)} prints other code than {evidence.place(first)}"
                    + (": its constants differ" if constants else ""),
                    name=name, limit=limit, file=evidence.place(other), hashes=[run.source_hash for run in printed],
                )  # fmt: skip
        name = "the shipped program made the logs"
        shipped = evidence.programs if printed else ()
        if not shipped:
            why = "no log prints its source" if not printed else "no trainer that reads as text"
            yield self.line(Status.UNCHECKED, why, name=name, limit=limit)
            return
        foreign = next((r for r in printed if not any(same_program(r.source, text) for text in shipped)), None)
        if foreign is None:
            yield self.line(Status.PASS, "the logs print the shipped trainer", name=name, limit=limit)
            return
        yield self.line(
            Status.WARN, f"{evidence.place(foreign)} differs",
            f"the trainer that {evidence.place(foreign)} printed is not the one in the folder",
            name=name, limit=limit, file=evidence.place(foreign),
        )  # fmt: skip

    def _settings(self, evidence: Evidence) -> Check:
        name, limit = "one configuration for all seeds", "equal settings"
        runs = [run for run in evidence.reported if len(run.settings) >= 2]
        if len(runs) < 2:
            return self.line(Status.UNCHECKED, "fewer than two logs print settings", name=name, limit=limit)
        first = runs[0]
        for run in runs[1:]:
            changed = differing(first, run)
            if changed:
                shown = ", ".join(f"{k}: {first.settings[k]} -> {run.settings[k]}" for k in changed[:4])
                return self.line(
                    Status.WARN, shown[:160],
                    f"{evidence.place(first)} and {evidence.place(run)} ran with different settings: {shown[:300]}",
                    name=name, limit=limit, file=evidence.place(run), changed=changed,
                )  # fmt: skip
        return self.line(Status.PASS, f"{len(first.settings)} settings of {len(runs)} logs", name=name, limit=limit)


def _speaks_of(evidence: Evidence, seed: int) -> bool:
    """Whether some log names the seed where it is not read as the seed of a run."""
    named = re.compile(rf"seed[ _=:#-]{{0,3}}{seed}(?!\d)", re.IGNORECASE)
    for path in evidence.folder.logs:
        try:
            if any(named.search(line, 0, 400) for _, line in LineReader(path)):
                return True
        except InputError:
            continue
    return False


def _key(run: RunLog) -> object:
    return run.named_seed if run.named_seed is not None else run.seed if run.seed is not None else run.path


def differing(first: RunLog, other: RunLog) -> list[str]:
    """Settings that both print with different values, those left out that name a run or a machine or were measured."""
    ours, theirs = first.settings, other.settings
    return [
        key
        for key in ours
        if key in theirs
        and not _alike(_value(ours[key]), _value(theirs[key]))
        and _without_seed(ours[key], first.seed) != _without_seed(theirs[key], other.seed)
        and not any(word in key.lower() for word in _PER_RUN)
        and key.lower() not in _MEASURED
        and not _NO_SETTING.search(f" {ours[key]} {theirs[key]} ")
    ]


def _alike(ours: object, theirs: object) -> bool:
    """Whether two values are one setting: numbers a hair apart are measurements that a log prints like settings."""
    if isinstance(ours, float) and isinstance(theirs, float) and not (ours.is_integer() and theirs.is_integer()):
        return abs(ours - theirs) <= HAIR * max(abs(ours), abs(theirs))
    return ours == theirs


def _value(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text.strip("\"'").lower()


def _without_seed(text: str, seed: int | None) -> str:
    """A value in which the run's own seed does not count: ``sweep_seed42`` beside ``sweep_seed314``."""
    return text if seed is None else re.sub(rf"(?<!\d){seed}(?!\d)", "#", text)


def _shape(run: RunLog) -> str:
    return re.sub(r"\d+", "#", Path(run.path).name)


def same_program(ours: str | None, theirs: str | None, constants: bool = True) -> bool:
    """Whether two texts are one program but for comments and blank lines; without ``constants`` values may differ."""
    if ours is None or theirs is None:
        return False
    if source_hash(ours) == source_hash(theirs):
        return True
    left, right = program(ours, constants), program(theirs, constants)
    if left is None or right is None:  # one does not parse: a log may have lost a blank
        return words(ours) == words(theirs)
    return left == right


@lru_cache(maxsize=64)
def program(source: str, constants: bool = True) -> str | None:
    """A program as its tree, in which comments and blank lines do not count; None where it does not parse."""
    try:
        tree = ast.parse(source.lstrip("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    tree.body = [node for node in tree.body if not _sets_environment(node)]
    if not constants:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                node.value = None
    return ast.dump(tree)


def _sets_environment(node: ast.stmt) -> bool:
    """Whether a statement sets an environment variable to a constant: the machine's GPU, a thread count, a seed."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
        return False
    return all(isinstance(t, ast.Subscript) and ast.unparse(t.value) == "os.environ" for t in node.targets)


def words(source: str) -> list[str]:
    """A program as its words without comments, whatever its layout."""
    return [word for line in source.splitlines() for word in line.partition("#")[0].split()]
