"""Sweeps one scored token over the whole vocabulary: the probabilities that it is given must sum to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from audit.probe.experiments import MASS_RULES, Experiment, Stage, Status, stages
from audit.probe.isolation import beginning
from audit.probe.noise import Source
from audit.probe.recording import read_recording
from audit.probe.runs import Runs, headline_stage
from reproduce.errors import InputError
from reproduce.logs import read_log

VOCABULARY, TOKENS, SOURCE = 64, 1025, "markov"


def sweep(makes: Runs) -> Experiment:
    """The last token of a short stream over a small vocabulary, each value scored from the state in which the
    evaluation began; a whole run with another last token must give it the same loss."""
    plan = replace(makes.plan, toy=replace(makes.plan.toy, vocabulary=VOCABULARY))
    stream = Source(SOURCE, VOCABULARY).draw(TOKENS, plan.seed)
    inner = replace(makes, plan=plan, source=SOURCE)
    makes.tell("running it over a vocabulary of 64")
    plain = inner.run("small", stream)
    headline = headline_stage(plain)
    begun = beginning(plain.recordings, headline)
    name = headline.metric.stage if headline is not None else ""
    if plain.failure or begun is None or scored(headline, TOKENS).last is None:
        why = plain.failure or "the last token's loss is not among those that were seen"
        return Experiment("sweep", name, Status.UNCHECKED, f"over a vocabulary of {VOCABULARY}: {why}", SOURCE)
    makes.tell("sweeping the last token over the vocabulary")
    swept = inner.run("swept", stream, evaluation={**begun.plan(), "sweep": list(range(VOCABULARY))})
    true = scored(headline_stage(swept), TOKENS)
    each = {token: read_swept(path, name, TOKENS) for token, path in swept.ran.swept.items()}
    nll = {token: one.last for token, one in each.items() if one.last is not None}
    moved = max(
        (sum(a != b for a, b in zip(one.before, true.before, strict=False)) for one in each.values()), default=0
    )
    makes.tell("running it once whole with another last token")
    tokens, other = stream.tokens.copy(), (int(stream.tokens[-1]) + 7) % VOCABULARY
    tokens[-1] = other
    whole = scored(headline_stage(inner.run("other", replace(stream, tokens=tokens))), TOKENS).last
    if other in nll and (whole is None or abs(whole - nll[other]) > 1e-4 * max(1.0, nll[other])):
        why = f"a whole run gives another last token {whole} nats, the sweep {nll[other]:.6f}"
        return Experiment("sweep", name, Status.UNCHECKED, why, SOURCE)
    return check_sweep(nll, VOCABULARY, stage=name, seen=true.last, earlier_moved=moved)


TOLERANCE = 1e-3  # of the sum, for float32 scores


def _differ(some: tuple[float, ...], others: tuple[float, ...]) -> int:
    return sum(a != b for a, b in zip(some, others, strict=False))


def check_sweep(
    nll: Mapping[int, float], vocabulary: int, *, stage: str = "", seen: float | None = None, earlier_moved: int = 0
) -> Experiment:
    """``nll`` is the loss, nats, that each token was given at one and the same place after the same past.

    Over the whole vocabulary the sum of exp(-nll) is exact: above 1 it is a breach, below 1 a warning; over part of it
    it is a lower bound. ``seen`` is the loss of the true token in a run of its own: where no token of the sweep has it,
    the sweep is no measurement. ``earlier_moved`` counts scores before the place that differ between the runs.
    """
    mass = math.fsum(math.exp(-value) for value in nll.values())
    whole = len(nll) == vocabulary
    data: dict[str, object] = {"tokens": len(nll), "vocabulary": vocabulary, "mass": mass}
    if not nll or earlier_moved:
        why = f"{earlier_moved} earlier scores moved with the token" if nll else "no token was scored again"
        return Experiment("sweep", stage, Status.UNCHECKED, why, SOURCE, data=data)
    if seen is not None and all(abs(value - seen) > TOLERANCE * max(1.0, seen) for value in nll.values()):
        why = f"the true token's own loss, {seen:.4f} nats, is not among those of the sweep"
        return Experiment("sweep", stage, Status.UNCHECKED, why, SOURCE, data=data)
    breach = mass > 1 + TOLERANCE
    lost = whole and mass < 1 - TOLERANCE  # harmless to others, but no distribution: told, not judged
    return Experiment(
        "sweep", stage, Status.BREACH if breach else Status.WARNING if lost else Status.HOLDS,
        f"one token replaced by {'each of' if whole else f'{len(nll)} of'} the {vocabulary} of the vocabulary: its"
        f" probabilities sum to {mass:.6f}{'' if whole else ' at least'}",
        SOURCE, bound=1.0, measured=mass, rules=MASS_RULES if breach else (), data=data,
    )  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """One run's loss of the last token, nats, and those of all before it; None and empty where it was not scored."""

    last: float | None
    before: tuple[float, ...] = ()


def scored(stage: Stage | None, tokens: int) -> Scored:
    """What the losses behind a figure say of the last of ``tokens`` tokens of the stream."""
    if stage is None or stage.explained is None:
        return Scored(None)
    explained = stage.explained
    at = [index for index, place in enumerate(explained.positions.tolist()) if place == tokens - 1]
    if not at:
        return Scored(None)
    earlier = explained.losses[(explained.positions > 0) & (explained.positions < tokens - 1)]
    return Scored(float(explained.losses[at[0]]), tuple(earlier.tolist()))


def read_swept(tape: Path, stage: str, tokens: int) -> Scored:
    """The same for a copy of a process, from its tape alone: what it printed stands there."""
    try:
        recording = read_recording(tape)
        log = tape.with_suffix(".log")
        log.write_text("\n".join(text.rstrip("\n") for _, text in recording.marks) + "\n")
        metrics = read_log(log).metrics
    except InputError:
        return Scored(None)
    found = [s for s in stages(metrics, (recording,), tokens - 1) if s.metric.stage == stage]
    return scored(found[-1] if found else None, tokens)
