"""A report with every part filled in, written by us."""

from __future__ import annotations

import math

import pytest

from audit.evidence.check import Check, Status
from audit.finding import AuditResult, Basis, Certainty, Finding, Severity, Step
from reports.report import Comparison, Experiment, Report, Source, assemble
from reproduce.claims import Claims, SeedClaim
from reproduce.runlog import Metric, RunLog
from reproduce.runlog import Step as LogStep
from reproduce.statistics import Summary
from reproduce.table import SeedTable

SOURCE = '''"""A trainer of ours that breaks a rule."""
import torch


def evaluate(model, val_tokens, table):
    total = 0.0
    for x, y in windows(val_tokens):
        key = (context_hash(x) ^ (y * 31)) % table.numel()
        hint = table[key] / table[context_hash(x)]
        total += -(0.5 * model(x, y) + 0.5 * hint).log().sum()
    return total
'''


def run(seed: int, bpb: float) -> RunLog:
    return RunLog(
        path=f"logs/train_seed{seed}.log",
        seed=seed,
        world_size=8,
        steps=2000,
        train_seconds=599.4,
        eval_seconds=412.0 + seed % 7,
        metrics=(Metric("final_roundtrip", 2.05 + bpb / 100, bpb + 0.02), Metric("final_sliding", 1.93, bpb)),
        headline=Metric("final_sliding", 1.93, bpb),
        headline_why="the last of the log",
        curve=tuple(
            LogStep(
                step,
                train_loss=2.0 + 5.0 / math.sqrt(step + 1) + (seed % 4) * 0.03,
                val_loss=2.02 + 5.0 / math.sqrt(step + 1) if step % 250 == 0 else None,
                train_seconds=step * 0.3,
            )
            for step in range(0, 2001, 50)
        ),
        model_bytes=15_800_000 + seed,
        code_bytes=65_854,
        total_bytes=15_865_854 + seed,
        source="the whole program that the log repeats",
    )


def finding(**changes: object) -> Finding:
    fields: dict[str, object] = {
        "rule": "C1-HASHKEY",
        "message": "the table row that gives the probability is chosen by the target",
        "severity": Severity.ERROR,
        "certainty": Certainty.HIGH,
        "basis": Basis.RULING,
        "reference": "valerio-oai on #779 and 27 closures",
        "file": "train_gpt.py",
        "line": 9,
        "path": (
            Step("train_gpt.py", 7, "    for x, y in windows(val_tokens):", "the target enters", "source"),
            Step("train_gpt.py", 8, "        key = (context_hash(x) ^ (y * 31))", "is mixed into a key", "step"),
            Step("train_gpt.py", 9, "        hint = table[key]", "and picks the row", "sink"),
        ),
        "because": "NGRAM_EVAL=1 in the run command",
        "data": {"modulus": "table.numel()"},
    }
    return Finding(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def report() -> Report:
    runs = tuple(run(seed, bpb) for seed, bpb in ((1337, 1.1441), (42, 1.1491), (7, 1.1390)))
    audit = AuditResult(
        submission="Hash of the future",
        trainer="train_gpt.py",
        trainer_why="named by the README",
        verdict="illegal",
        reasons=("C1-HASHKEY is broken with high certainty",),
        findings=(
            finding(),
            finding(rule="M-TAIL", severity=Severity.WARNING, certainty=Certainty.MEDIUM, path=(), line=6),
            finding(rule="C3-PREQUANT", active=False, because="TTT_EPOCHS is 0"),
        ),
        unchecked=("train_helper.c is not Python",),
        settings={"NGRAM_EVAL": "1", "TTT_EPOCHS": "0"},
        seconds=0.42,
    )
    return assemble(
        "Hash of the future",
        audit=audit,
        checks=(
            Check("artifact size", "16,000,000 bytes", "15,867,191 bytes", Status.PASS, "train_seed7.log", "ART-CAP"),
            Check("audit", "no active error", "1", Status.FAIL),
            Check("training time", "600 s", "599.4 s", Status.WARN),
            Check("hardware", "8xH100", "", Status.UNCHECKED),
        ),
        seeds=SeedTable(
            runs, "final_sliding", Summary(3, 1.1440667, 0.0050501, 0.0041, 1.131521, 1.156612), ("a note",)
        ),
        claims=Claims(
            "submission.json",
            val_bpb=1.1441,
            std=0.0061,
            seeds=(SeedClaim(1337, 1.1441, decimals=4),),
            bytes_total=15_867_191,
        ),
        comparison=Comparison("the record of March", 1.1458, 0.0008, 3, -0.0017, 0.31),
        probes=(finding(rule="C2-NORM", basis=Basis.MEASUREMENT, path=()),),
        experiments=(
            Experiment("floor", "final_sliding", "holds", "reported 5.1 nats per token", 5.0, 5.1),
            Experiment("normalisation", "final_sliding", "breach", "its probabilities sum to 1.458", 3.0, 9.0, 1.458),
            Experiment("normalisation", "final_roundtrip", "holds", "its probabilities sum to 1.000", 3.0, 0.1, 1.0),
        ),
        notes=("The seeds were not rerun.",),
        sources=(Source("train_gpt.py", SOURCE, packed=True), Source("unused.py", "x = 1\n")),
        link="https://github.com/someone/parameter-golf/blob/abc123/records/x",
    )
