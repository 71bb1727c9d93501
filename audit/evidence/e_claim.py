"""The rule on claims: the score, its spread and the seeds that a submission states must follow from its logs."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.written_logs import clock_back, odd_pair, shared_lines
from audit.finding import Basis, Severity
from audit.rule import Example
from reproduce.claims import Figure, SeedClaim
from reproduce.runlog import Metric, RunLog
from reproduce.statistics import summarise

_LOG = "seed:{seed}\nstep:9/9 train_loss:2.0 train_time:9ms\nfinal_exact val_loss:{loss:.8f} val_bpb:{score:.8f}\n"


def _log(seed: int, score: float) -> str:
    return _LOG.format(seed=seed, score=score, loss=1.7 * score)


_THREE = {f"train_seed{s}.log": _log(s, v) for s, v in ((1, 1.1), (2, 1.104), (3, 1.111))}
_CODE = {"train_gpt.py": "import torch\n"}
_STEPS = "".join(f"step:{at}00/2000 train_loss:2.{at:02d}13 train_time:{at}0041ms\n" for at in range(1, 13))
_COPY = {
    f"train_seed{s}.log": _log(s, v).replace("step:9/9", _STEPS + "step:2000/2000") for s, v in ((1, 1.1), (2, 1.104))
}
_SCORE = re.compile(r"(?<![\w.])\d\.\d{3,18}(?!\d)")
HAIR = 1e-4  # bits per byte: a last digit wrong


class EClaim(EvidenceRule):
    id = "E-CLAIM"
    title = "claim against logs"
    order = 60
    of_runs = False
    severity = Severity.WARNING
    basis = Basis.RULING
    reference = "#1981, #2124, #2139, #61; #745 states a std of 0.0067 where its seeds give 0.0069"
    forbids = (
        "A score, a seed's score or a standard deviation that the logs and the listed seeds do not give; a log that no "
        "run wrote: an edited copy of another seed's, or one whose clock runs back."
    )
    why = "Reviewers decide by the numbers of submission.json and README; only the logs show that they were measured."
    comply = "Copy each seed's final line into submission.json, and compute mean and sample std from those."
    VALID: ClassVar[tuple[Example, ...]] = (
        {**_CODE, **_THREE, "submission.json": '{"val_bpb": 1.105, "val_bpb_std": 0.0056}'},
        {**_CODE, **_THREE, "submission.json": '{"val_bpb": 1.105, "val_bpb_std": 0.0045}'},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {**_CODE, **_THREE, "submission.json": '{"val_bpb": 1.095}'},
        {**_CODE, **_THREE, "submission.json": '{"val_bpb": 1.105, "val_bpb_std": 0.0051}'},
        {**_CODE, **_THREE, "submission.json": '{"val_bpb": 1.105, "seeds": {"1": 1.1, "2": 1.102, "3": 1.111}}'},
        {
            **_CODE,
            "train.log": "seed:1\nfinal_exact val_loss:2.0 val_bpb:1.10000000\nTraceback (most recent call last):\n"
            '  File "train_gpt.py", line 9, in main\nRuntimeError: out of luck\n',
        },
        {**_CODE, **_COPY},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        yield self._score(evidence)
        yield self._spread(evidence)
        yield from self._seeds(evidence)
        yield self._end(evidence)
        yield self._written(evidence)

    # -- the score --------------------------------------------------------------------------------------------------

    def _score(self, evidence: Evidence) -> Check:
        claimed = evidence.claims.figures.get("val_bpb")
        name = "claimed score"
        if claimed is None:
            return self.line(Status.UNCHECKED, "no score is claimed", name=name, limit="mean of the logs")
        scored = [run for run in evidence.runs if run.headline is not None]
        limit = f"{claimed.value:.{max(claimed.decimals, 4)}f} claimed"
        if not scored:
            return self.line(Status.UNCHECKED, "no log has a score", name=name, limit=limit, evidence=claimed.where)
        summary = evidence.table.summary if evidence.table else None
        mean = summary.mean if summary else None
        if mean is not None and abs(mean - claimed.value) <= claimed.slack + 1e-6:
            return self.line(
                Status.PASS, f"{mean:.6f}, mean of {summary.n if summary else 0} logs", name=name, limit=limit,
                evidence=claimed.where,
            )  # fmt: skip
        there = {run.seed for run in scored} | {run.named_seed for run in scored}
        unlogged = [seed for seed in evidence.claims.seeds if seed.val_bpb is not None and seed.seed not in there]
        listed = [seed.val_bpb for seed in evidence.claims.seeds if seed.val_bpb is not None]
        if unlogged and any(
            abs(v - claimed.value) <= claimed.slack + 1e-4 for v in (*listed, sum(listed) / len(listed))
        ):
            shown = f"{len(unlogged)} of {len(listed)} claimed seeds have no log with a score"
            return self.line(Status.UNCHECKED, shown, name=name, limit=limit, evidence=claimed.where)
        how = _explain(claimed, scored)
        if how:
            status = Status.PASS if how[1] else Status.WARN
            message = "" if how[1] else f"the claimed {claimed.value} is {how[0]}, not the mean of the seeds"
            return self.line(status, how[0], message, name=name, limit=limit, evidence=claimed.where)
        best = min(run.headline.val_bpb for run in scored if run.headline and run.headline.val_bpb is not None)
        shown = f"{mean:.6f}, mean of the logs" if mean is not None else f"{best:.6f}, the best log"
        results = _result_file(evidence, claimed.value, claimed.slack)
        hint = f"; {results} has it" if results else ""
        # A claim worse than the logs, or one off by a hair, deceives nobody: a reader decides.
        gain = (mean if mean is not None else best) - claimed.value
        return self.line(
            # A score that only a README's text gives may have been read wrong.
            Status.FAIL
            if gain > HAIR and claimed.file == "submission.json" and not results
            and not _within_a_hair(scored, claimed.value)
            else Status.WARN,
            shown,
            f"no log and no mean of the logs gives the claimed {claimed.value}: {shown}{hint}",
            name=name, limit=limit, evidence=claimed.where, file=claimed.file, at=claimed.line,
            claimed=claimed.value, mean=mean,
        )  # fmt: skip

    # -- the spread -------------------------------------------------------------------------------------------------

    def _spread(self, evidence: Evidence) -> Check:
        claimed = evidence.claims.figures.get("std")
        name = "claimed std"
        if claimed is None:
            return self.line(Status.UNCHECKED, "no std is claimed", name=name, limit="std of the seeds")
        limit = f"{claimed.value:.{max(claimed.decimals, 4)}f} claimed"
        sets = _score_sets(evidence)
        if not sets:
            return self.line(Status.UNCHECKED, "fewer than two seeds are known", name=name, limit=limit)
        for source, (values, _, decimals) in sets.items():
            summary = summarise(values)
            slack = claimed.slack + 10.0**-decimals
            for kind, std in (("sample", summary.std), ("population", summary.population_std)):
                if std is not None and abs(std - claimed.value) <= slack:
                    return self.line(Status.PASS, f"{std:.6f} ({kind}, {source})", name=name, limit=limit)
        source, (values, complete, _) = next(iter(sets.items()))
        summary = summarise(values)
        stds = [std for std in (summary.std, summary.population_std) if std]
        # A last digit that is wrong, or cut instead of rounded, deceives nobody.
        off = min((abs(claimed.value / std - 1) for std in stds), default=1.0)
        apart = min((abs(claimed.value - std) for std in stds), default=claimed.value)
        actual = f"{summary.std:.6f} sample, {summary.population_std:.6f} population ({source})"
        return self.line(
            Status.FAIL if complete and off > 0.02 and apart > 10.0**-claimed.decimals else Status.WARN,
            actual,
            f"the std of {source} is {actual}, not the claimed {claimed.value}",
            name=name, limit=limit, evidence=claimed.where, file="submission.json", claimed=claimed.value,
            sample=summary.std, population=summary.population_std,
        )  # fmt: skip

    # -- each seed --------------------------------------------------------------------------------------------------

    def _seeds(self, evidence: Evidence) -> Iterator[Check]:
        score = evidence.claims.figures.get("val_bpb")
        sure = score is None or score.file == "submission.json"  # a README's text alone may have been read wrong
        for claim in evidence.claims.seeds:
            if claim.seed is None or claim.val_bpb is None:
                continue
            name, limit = f"seed {claim.seed}", f"{claim.val_bpb:.{max(claim.decimals, 4)}f} claimed"
            runs = [
                run
                for run in evidence.runs
                if claim.seed in (run.seed, run.named_seed) and (run.metrics or run.headline)
            ]
            if not runs:
                yield self.line(Status.UNCHECKED, "no log of this seed", name=name, limit=limit, evidence=claim.where)
                continue
            found = next(((run, m) for run in runs if (m := _metric(run, claim)) is not None), None)
            if found:
                run, metric = found
                yield self.line(
                    Status.PASS, f"{metric.val_bpb} ({metric.stage})", name=name, limit=limit,
                    evidence=f"{evidence.place(run)} line {metric.line}",
                )  # fmt: skip
                continue
            run = next((run for run in reversed(runs) if run.complete), runs[-1])
            shown = run.headline.val_bpb if run.headline else None
            if shown is None or not run.complete:
                yield self.line(
                    Status.UNCHECKED, f"{evidence.place(run)} has no final evaluation", name=name, limit=limit,
                    evidence=claim.where,
                )  # fmt: skip
                continue
            other = next((r for r in evidence.runs if r.seed != claim.seed and _metric(r, claim)), None)
            hint = f"; {evidence.place(other)} has that score" if other else ""
            early = next((step for step in run.curve if _near(step.val_bpb, claim)), None)
            if early is not None:
                hint = f"; {early.val_bpb} is its validation at step {early.step}, before quantisation"
            explained = other is not None or early is not None or _within_a_hair(runs, claim.val_bpb)
            if not explained and (results := _result_file(evidence, claim.val_bpb, 0.5000001 * 10.0**-claim.decimals)):
                explained, hint = True, f"; {results} has that score"
            yield self.line(
                Status.FAIL if sure and not explained and shown - claim.val_bpb > HAIR else Status.WARN,
                f"{shown} in {evidence.place(run)}",
                f"seed {claim.seed}: {claim.val_bpb} is claimed, its log ends with {shown}{hint}",
                name=name, limit=limit, file=evidence.place(run), at=run.headline.line if run.headline else None,
                evidence=claim.where, claimed=claim.val_bpb, logged=shown,
            )  # fmt: skip

    # -- the end of the logs ----------------------------------------------------------------------------------------

    def _end(self, evidence: Evidence) -> Check:
        name, limit = "end of the logs", "no crash"
        if not evidence.reported:
            return self.line(Status.UNCHECKED, "no log has a score", name=name, limit=limit)
        crashed = [run for run in evidence.reported if run.failures]
        if not crashed:
            return self.line(
                Status.PASS, f"{len(evidence.reported)} logs end without a failure", name=name, limit=limit
            )
        run = crashed[0]
        return self.line(
            Status.WARN,
            f"{evidence.place(run)}: {run.failures[-1]}"[:120],
            f"the log of {evidence.name(run)} reports a failure: {run.failures[0]}",
            name=name, limit=limit, file=evidence.place(run), failures=list(run.failures),
        )  # fmt: skip

    # -- logs as runs write them ------------------------------------------------------------------------------------

    def _written(self, evidence: Evidence) -> Check:
        name, limit = "logs as written", "no edited log"
        if not evidence.reported:
            return self.line(Status.UNCHECKED, "no log has a score", name=name, limit=limit)
        shared = shared_lines(evidence.reported)
        if shared is not None:
            one, other = evidence.place(shared.one), evidence.place(shared.other)
            return self.line(
                Status.FAIL, f"{one} and {other} share {shared.lines} of {shared.of} measured lines",
                f"{other} is no run of its own: {shared.lines} of {shared.of} measured lines are those of {one} to the "
                f"last digit, such as: {shared.example[:120]}",
                name=name, limit=limit, file=other, severity=Severity.ERROR, shared=shared.lines, of=shared.of,
            )  # fmt: skip
        for run in evidence.reported:
            back = clock_back(run)
            if back is not None:
                shown = ", ".join(f"step {step.step} at {step.train_seconds:.1f} s" for step in back)
                return self.line(
                    Status.FAIL, shown, f"the clock of {evidence.place(run)} runs back: {shown}",
                    name=name, limit=limit, file=evidence.place(run),
                )  # fmt: skip
        odd = odd_pair(evidence.reported)
        if odd is not None:
            shown = f"{odd.metric.stage}: {odd.ratio:.4f} bytes per token, {odd.usual:.4f} in the other logs"
            return self.line(
                Status.WARN, shown, f"loss and score of {evidence.place(odd.run)} do not belong together: {shown}",
                name=name, limit=limit, file=evidence.place(odd.run), at=odd.metric.line,
            )  # fmt: skip
        if not any(len(run.curve) > 2 for run in evidence.reported):
            return self.line(Status.UNCHECKED, "no log shows the training", name=name, limit=limit)
        return self.line(Status.PASS, f"{len(evidence.reported)} logs without a sign of it", name=name, limit=limit)


def _result_file(evidence: Evidence, value: float, slack: float) -> str:
    """The file of results beside submission.json that holds the score; "" where none does."""
    for path in sorted(evidence.folder.path.rglob("*")):
        if path.suffix not in (".json", ".jsonl", ".csv", ".tsv") or path == evidence.folder.metadata_path:
            continue
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size <= 1 << 20 else ""
        except OSError:
            continue
        if any(abs(float(number) - value) <= slack for number in _SCORE.findall(text)):
            return evidence.folder.relative(path)
    return ""


def _within_a_hair(runs: Sequence[RunLog], value: float) -> bool:
    """Whether some evaluation gives the value but for its last digit: cut instead of rounded, or copied wrong."""
    scores = (metric.val_bpb for run in runs for metric in (*run.metrics, run.headline) if metric is not None)
    return any(score is not None and abs(score - value) <= HAIR for score in scores)


def _near(value: float | None, claim: SeedClaim) -> bool:
    """Whether a validation during training is the claimed score, as far as that was rounded."""
    if value is None or claim.val_bpb is None:
        return False
    return abs(value - claim.val_bpb) <= 0.5000001 * 10.0 ** -min(claim.decimals, 4) + 1e-9


def _metric(run: RunLog, claim: SeedClaim) -> Metric | None:
    """The evaluation of a run that gives a seed's claimed score, as far as either was rounded."""
    assert claim.val_bpb is not None
    candidates = (run.headline, *run.metrics)
    for metric in candidates:
        if metric is None or metric.val_bpb is None:
            continue
        coarse = min(claim.decimals, metric.digits or claim.decimals)
        if abs(metric.val_bpb - claim.val_bpb) <= 0.5000001 * 10.0**-coarse + 1e-9:
            return metric
    return None


def _score_sets(evidence: Evidence) -> dict[str, tuple[list[float], bool, int]]:
    """Scores that a std may be of: ``(scores, whether they are all the claimed seeds, decimals they are known to)``."""
    sets: dict[str, tuple[list[float], bool, int]] = {}
    claimed = [seed for seed in evidence.claims.seeds if seed.val_bpb is not None]
    if len(claimed) >= 2:
        scores = [seed.val_bpb for seed in claimed if seed.val_bpb is not None]
        sets["the claimed seeds"] = (scores, True, max(seed.decimals for seed in claimed))
    lines = [run.headline for run in evidence.reported if run.headline and run.headline.val_bpb is not None]
    logged = [line.val_bpb for line in lines if line.val_bpb is not None]
    if len(logged) >= 2:
        wanted = evidence.claims.seed_count or len(evidence.claims.seeds) or len(evidence.claims.seed_list) or 2
        sets["the logs"] = (logged, len(logged) >= wanted, max(line.digits for line in lines))
    return sets


def _explain(claimed: Figure, runs: Sequence[RunLog]) -> tuple[str, bool] | None:
    """Where else in the logs the claimed score stands: ``(what it is, whether it is a mean over seeds)``."""
    by_stage: dict[str, dict[object, float]] = {}
    for run in runs:
        one = (run.path, run.first_line)
        for metric in run.metrics:
            if metric.val_bpb is not None and math.isfinite(metric.val_bpb):
                by_stage.setdefault(metric.stage, {})[one] = metric.val_bpb
        if run.headline and run.headline.val_bpb is not None:
            by_stage.setdefault("headline", {})[one] = run.headline.val_bpb
    slack = claimed.slack + 1e-6
    for stage, values in by_stage.items():
        scores = list(values.values())[:8]
        for size in range(len(scores), 1, -1):
            for chosen in itertools.combinations(scores, size):
                if abs(math.fsum(chosen) / size - claimed.value) <= slack:
                    return f"the mean of {size} logs' {stage}", True
    single = [
        (run, metric)
        for run in runs
        for metric in (run.headline, *run.metrics)
        if metric is not None
        and metric.val_bpb is not None
        and abs(metric.val_bpb - claimed.value) <= max(claimed.slack, 0.5 * 10.0 ** -max(metric.digits, 4)) + 1e-9
    ]
    if single:
        run, metric = single[0]
        seed = f"seed {run.seed}" if run.seed is not None else "one log"
        return f"{metric.val_bpb}, {metric.stage} of {seed}", len({r.seed for r in runs}) == 1
    for run in runs:
        for step in run.curve:
            if step.val_bpb is not None and abs(step.val_bpb - claimed.value) <= max(claimed.slack, 5e-5) + 1e-9:
                return f"{step.val_bpb}, a validation during training (step {step.step})", False
    return None
