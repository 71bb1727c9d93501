"""Each way to cheat the ledger is caught by an experiment; docs/probe.md says by which."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.probe.experiments import (
    Stage,
    Status,
    check_bytes,
    check_causality,
    check_coverage,
    check_floor,
    check_mass,
    check_part,
)
from audit.probe.noise import Source, Stream, flip_tail
from audit.probe.recording import Explained
from audit.probe.tokenizer import byte_counts, pieces
from reproduce.runlog import Metric
from submission.data import ByteTable
from submission.evaluate.ledger import Score, ScoreLedger, UnscoredError

VOCABULARY, TOKENS, CHUNK, FLIP = 320, 4097, 64, 2071
EXPERIMENTS = ("floor", "normalisation", "causality", "bytes", "coverage")


class Counts:
    """Unigram and bigram counts; (positions, vocabulary) probabilities from the token before each."""

    def __init__(self) -> None:
        self.unigram = np.full(VOCABULARY, 0.1)
        self.bigram = np.zeros((VOCABULARY, VOCABULARY))

    def add(self, tokens: np.ndarray) -> None:
        np.add.at(self.unigram, tokens[1:], 1)
        np.add.at(self.bigram, (tokens[:-1], tokens[1:]), 1)

    def unigrams(self, previous: np.ndarray) -> np.ndarray:
        return np.repeat((self.unigram / self.unigram.sum())[None], len(previous), axis=0)

    def bigrams(self, previous: np.ndarray) -> np.ndarray:
        rows = self.bigram[previous] + 400 * self.unigrams(previous)
        return rows / rows.sum(1, keepdims=True)


def table() -> ByteTable:
    kinds = pieces(VOCABULARY)
    control = np.array([kind in (2, 3) for _, kind in kinds])
    base = [
        0 if kind in (2, 3) else 1 if kind == 6 else len(text.removeprefix("\u2581").encode()) for text, kind in kinds
    ]
    return ByteTable(np.array(base), np.array([text.startswith("\u2581") for text, _ in kinds]), control)


Rows = Callable[[Counts, np.ndarray], np.ndarray]


def lawful(ledger: ScoreLedger, rows: Rows = Counts.bigrams) -> Score:
    counts = Counts()
    for start in range(0, ledger.total, CHUNK):
        stop = min(start + CHUNK, ledger.total)
        probabilities = torch.from_numpy(rows(counts, ledger.inputs(start, stop)))
        picked = ledger.pick_with([(start, stop)], lambda targets, p=probabilities: p.gather(1, targets[:, None])[:, 0])
        ledger.record(start, -picked.log())
        counts.add(ledger.scored_tokens(start, stop + 1))
    return ledger.score()


def peek(ledger: ScoreLedger) -> np.ndarray:
    """What no evaluator may have: the ledger's tokens, targets included."""
    return ledger._tokens


def target_in_hash_key(ledger: ScoreLedger) -> Score:
    tokens, size = peek(ledger).astype(np.int64), 256
    context, full = np.zeros(size), np.zeros(size)

    def blended(counts: Counts, previous: np.ndarray) -> np.ndarray:
        start = ledger.frontier
        target = tokens[start + 1 : start + 1 + len(previous)]
        seen, both = previous * 36313 % size, (previous * 36313 ^ target * 27191) % size
        share = np.minimum(full[both], context[seen]) / np.maximum(context[seen], 1)
        rows = counts.bigrams(previous)
        at = np.arange(len(previous))
        rows[at, target] = np.where(context[seen] > 1, 0.5 * rows[at, target] + 0.5 * share, rows[at, target])
        np.add.at(context, seen, 1)
        np.add.at(full, both, 1)
        return rows

    return lawful(ledger, blended)


def table_filled_before_scoring(ledger: ScoreLedger) -> Score:
    filled = Counts()
    filled.add(peek(ledger).astype(np.int64))
    return lawful(ledger, lambda counts, previous: filled.bigrams(previous))


def training_before_scoring(ledger: ScoreLedger) -> Score:
    tokens = peek(ledger).astype(np.int64)

    def early(counts: Counts, previous: np.ndarray) -> np.ndarray:
        start = ledger.frontier
        ahead = Counts()
        ahead.unigram, ahead.bigram = counts.unigram.copy(), counts.bigram.copy()
        ahead.add(tokens[start : start + len(previous) + 1])
        return ahead.bigrams(previous)

    return lawful(ledger, early)


def second_pass(ledger: ScoreLedger) -> Score:
    first = ScoreLedger(peek(ledger), table())
    lawful(first)
    learnt = Counts()
    learnt.add(first.scored_tokens(0, first.total + 1).astype(np.int64))
    return lawful(ledger, lambda counts, previous: learnt.bigrams(previous))


def entropy_expert(ledger: ScoreLedger) -> Score:
    def mixed(counts: Counts, previous: np.ndarray) -> np.ndarray:
        rows = counts.bigrams(previous)
        entropy = -(rows * np.log(rows)).sum(1, keepdims=True)
        return 0.5 * rows + 0.5 * np.exp(-entropy)

    return lawful(ledger, mixed)


def lower_of_two_losses(ledger: ScoreLedger) -> Score:
    def better(counts: Counts, previous: np.ndarray) -> np.ndarray:
        rows = counts.bigram[previous] + 1.0 * counts.unigrams(previous)
        return np.maximum(counts.unigrams(previous), rows / rows.sum(1, keepdims=True))

    return lawful(ledger, better)


def denominator_off_by_one(ledger: ScoreLedger) -> Score:
    score = lawful(ledger)
    count = score.bytes + score.tokens  # one byte too many a token
    return Score(score.val_loss, score.val_loss * score.tokens / np.log(2) / count, score.tokens, count)


def tail_counted_twice(ledger: ScoreLedger) -> Score:
    lawful(ledger)
    nll = torch.from_numpy(ledger.nll[-CHUNK:])
    ledger.record_again(ledger.total - CHUNK, nll)
    return ledger.score()


MUTANTS: dict[str, Callable[[ScoreLedger], Score]] = {
    "a target in a hash key": target_in_hash_key,
    "a table filled before scoring": table_filled_before_scoring,
    "a denominator off by one": denominator_off_by_one,
    "a tail counted twice": tail_counted_twice,
    "an entropy expert": entropy_expert,
    "the lower of two losses": lower_of_two_losses,
    "a second pass": second_pass,
    "training before scoring": training_before_scoring,
}


def stage(evaluate: Callable[[ScoreLedger], Score], stream: Stream) -> Stage:
    ledger = ScoreLedger(stream.tokens, table(), allow_tail=evaluate is tail_counted_twice)
    score = evaluate(ledger)
    positions = np.arange(1, ledger.total + 1)
    losses = ledger.nll
    if score.repeated:
        positions = np.concatenate([positions, positions[-score.repeated :]])
        losses = np.concatenate([losses, losses[-score.repeated :]])
    return Stage(
        Metric("ledger", score.val_loss, score.val_bpb),
        8,
        Explained(("ledger.py", 1, "record"), losses, positions, True),
    )


SOURCES = ("uniform", "zipf", "spike", "alias", "repeating", "markov")


@cache
def outcomes(name: str) -> dict[tuple[str, str], Status]:
    """(experiment, source) -> what it came to, for the lawful evaluator or a mutant."""
    evaluate = MUTANTS.get(name, lawful)
    found: dict[tuple[str, str], Status] = {}
    for kind in ("uniform", "zipf", "spike", "alias"):
        source = Source(kind, VOCABULARY)
        stream = source.draw(TOKENS, 7)
        first = stage(evaluate, stream)
        experiments = [
            check_floor(first, stream),
            check_mass(first, stream),
            check_bytes(first, stream, byte_counts(stream.tokens, VOCABULARY)),
            check_coverage(first, stream),
        ]
        if kind == "spike":  # as the probe runs it
            flipped, parts = flip_tail(stream, 7, FLIP, VOCABULARY)
            second = stage(evaluate, flipped)
            experiments.append(check_causality(first, second, stage(evaluate, stream), FLIP, stream))
            experiments += [e for part in parts for e in check_part(second, flipped, part, FLIP)]
        for experiment in experiments:
            assert experiment.status is not Status.UNCHECKED, experiment
            found[experiment.name, experiment.source] = experiment.status
    return found


def caught(name: str) -> set[str]:
    """The experiments that do not hold, over all sources."""
    return {experiment for (experiment, _), status in outcomes(name).items() if status is not Status.HOLDS}


def sources(name: str) -> str:
    """The sources on which floor or normalisation break, as the documentation lists them."""
    broken = {
        source for (experiment, source), status in outcomes(name).items()
        if experiment in ("floor", "normalisation") and status is Status.BREACH
    }  # fmt: skip
    return " | ".join("caught" if source in broken else "" for source in SOURCES)


def test_the_lawful_evaluator_breaks_nothing() -> None:
    assert caught("lawful") == set()


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught(name: str) -> None:
    assert caught(name)


def test_the_table_in_the_documentation_is_what_the_experiments_say() -> None:
    text = (Path(__file__).parents[2] / "docs" / "probe.md").read_text(encoding="utf-8")
    for name in MUTANTS:
        found = caught(name)
        row = f"| {name} | " + " | ".join("caught" if e in found else "" for e in EXPERIMENTS) + " |"
        assert row in text, f"docs/probe.md should have: {row}"


def test_the_table_of_sources_in_the_documentation_is_what_the_experiments_say() -> None:
    text = (Path(__file__).parents[2] / "docs" / "probe.md").read_text(encoding="utf-8")
    for name in MUTANTS:
        row = f"| {name} | {sources(name)} |"
        assert row in text, f"docs/probe.md should have: {row}"


def test_the_ledger_itself_refuses_to_learn_before_it_has_scored() -> None:
    ledger = ScoreLedger(Source("spike", VOCABULARY).draw(TOKENS, 7).tokens, table())
    with pytest.raises(UnscoredError):
        ledger.scored_tokens(0, 2)
