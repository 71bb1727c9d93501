"""Which validation split a run was scored on, and what bytes per token it must then have."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reproduce.runlog import Metric, RunLog
from reproduce.statistics import bytes_per_token

TABLE = Path(__file__).with_name("splits.toml")
SLACK = 1 << 16  # tokens: the loader drops the end of the split that fills no sequence
NEAR = 0.004  # relative: scores printed with four decimals, and the few tokens that the end of the split decides


@dataclass(frozen=True)
class Split:
    """A published tokenizer's cut of the validation split.

    ``also``: counts of earlier publications; ``train_shards``: where only one number of them is published.
    """

    name: str
    vocabulary: int
    tokens: int
    bytes_per_token: float
    train_shards: int | None = None
    also: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wrong:
    """A ratio that a known mistake gives; ``split`` where only that split's ratio means it."""

    bytes_per_token: float
    rule: str
    why: str
    reference: str
    split: str | None = None


@cache
def _table() -> dict:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def true_bytes() -> int:
    """Bytes of the original validation text."""
    return int(_table()["true_bytes"])


def splits() -> dict[str, Split]:
    """The published splits by name."""
    return {row["name"]: Split(**{**row, "also": tuple(row.get("also", ()))}) for row in _table()["split"]}


def known_mistakes() -> tuple[Wrong, ...]:
    """Denominators that were found wrong."""
    return tuple(Wrong(**row) for row in _table()["wrong"])


def split_of(run: RunLog) -> Split | None:
    """The published split that the log names by tokenizer, data folder or vocabulary; None for another or none."""
    keys = ("datasets_dir", "train_files", "val_files", "data_path", "DATA_PATH", "tokenizer_path", "val_shards")
    named = " ".join(filter(None, [run.tokenizer, run.dataset, *(run.settings.get(key) for key in keys)])).lower()
    known = splits()
    # Its count names the case-transformed split even where it lies under another's name.
    transformed = run.val_tokens is not None and abs(run.val_tokens - known["caseops"].tokens) <= 8192
    if transformed or "caseops" in named or run.settings.get("caseops_enabled", "").lower() in ("true", "1"):
        return known["caseops"]
    if re.search(r"casefold|lower|scylla|byte|custom|hnet", named):
        return None
    for split in known.values():
        if split.name != "caseops" and re.search(rf"(?:sp|_){split.vocabulary}(?!\d)", named):
            return split
    if run.val_tokens is not None:  # the count names the split where the paths do not
        near = [split for split in known.values() if abs(split.tokens - run.val_tokens) <= 8192]
        return near[0] if len(near) == 1 else None
    return None


def ratio(metric: Metric) -> float | None:
    """Bytes per token that an evaluation's loss and score imply, where both are printed precisely enough."""
    if metric.val_loss is None or metric.val_bpb is None or metric.digits < 4:
        return None
    return bytes_per_token(metric.val_loss, metric.val_bpb)


def near(value: float, expected: float, slack: float = NEAR) -> bool:
    """Whether two ratios agree as far as they are printed."""
    return abs(value / expected - 1) <= slack
