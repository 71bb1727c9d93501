"""Reads what a submission claims, from a submission.json of any shape and the tables of its README."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reproduce.errors import InputError
from reproduce.markdown_tables import Table, tables
from reproduce.readme_claims import Said, beside, headline

if TYPE_CHECKING:
    from reproduce.folder import SubmissionFolder

DEPTH = 6  # levels of submission.json that are read
SEEDS = 100  # seed results read


@dataclass(frozen=True)
class Figure:
    """A number as claimed: ``decimals`` were written, ``where`` names the file and the key or line."""

    value: float
    decimals: int
    where: str

    @property
    def slack(self) -> float:
        """Half a unit of the last decimal, and a hair for binary fractions: how far rounding can have moved it."""
        return 0.5 * 10.0**-self.decimals * 1.000001

    @property
    def file(self) -> str:
        """The file's name."""
        return "README.md" if self.where.startswith("README") else "submission.json"

    @property
    def line(self) -> int | None:
        """The file's line (1-based), where it is known."""
        found = re.search(r" line (\d+)$", self.where)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class SeedClaim:
    """What is claimed of one seed; figures not claimed are None."""

    seed: int | None
    val_bpb: float | None = None
    val_loss: float | None = None
    bytes_total: int | None = None
    steps: int | None = None
    train_seconds: float | None = None
    eval_seconds: float | None = None
    decimals: int = 8  # of val_bpb
    where: str = ""


@dataclass(frozen=True)
class Claims:
    """What a submission says of itself. Nothing is guessed: keys that were not understood stand in ``unread``."""

    path: str
    name: str | None = None
    author: str | None = None
    date: str | None = None
    track: str | None = None
    hardware: str | None = None  # as written
    hardware_where: str = ""
    val_bpb: float | None = None  # bits per byte, the mean over seeds where several are claimed
    val_loss: float | None = None  # nats per token
    std: float | None = None  # of val_bpb over seeds
    loss_std: float | None = None
    seeds: tuple[SeedClaim, ...] = ()
    seed_list: tuple[int, ...] = ()  # seeds named without a result
    seed_count: int | None = None
    bytes_total: int | None = None
    bytes_model: int | None = None
    bytes_code: int | None = None
    train_seconds: float | None = None
    eval_seconds: float | None = None
    # Field name -> the figure with its decimals and place; "readme_bytes" is a size that the README gives the artifact.
    figures: dict[str, Figure] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


# Field of Claims -> keys that submissions use for it, the most specific first.
_KEYS: dict[str, tuple[str, ...]] = {
    "val_bpb": (
        "val_bpb_exact", "val_bpb", "mean_val_bpb", "val_bpb_mean", "val_bpb_3seed_mean", "three_seed_mean_bpb",
        "mean_bpb", "bpb_mean", "final_val_bpb", "three_seed_mean_val_bpb", "val_bpb_mean_3seed", "bpb",
    ),
    "std": (
        "val_bpb_std", "std_val_bpb", "val_bpb_std_sample", "val_bpb_sample_std", "val_bpb_stddev",
        "three_seed_std_bpb", "std_bpb", "bpb_std", "val_bpb_3seed_std", "val_bpb_std_3seed",
    ),
    "val_loss": ("val_loss_exact", "val_loss", "mean_val_loss", "val_loss_mean", "val_loss_nats"),
    "loss_std": ("val_loss_std", "std_val_loss", "val_loss_nats_std"),
    "bytes_total": (
        "bytes_total", "artifact_bytes_max", "artifact_bytes", "total_bytes", "artifact_size_bytes", "bytes_total_max",
        "max_artifact_bytes", "submission_bytes", "total_submission_bytes", "artifact_total_bytes",
    ),
    "bytes_model": (
        "bytes_model", "model_bytes", "bytes_model_compressed", "compressed_model_bytes", "model_size_bytes",
        "compressed_size_bytes",
    ),
    "bytes_code": ("bytes_code", "code_bytes", "code_size_bytes", "bytes_code_counted"),
    "train_seconds": (
        "wallclock_seconds", "training_time_seconds", "train_time_seconds", "train_seconds", "training_seconds",
    ),
    "eval_seconds": (
        "eval_time_seconds_max", "eval_time_s_max", "eval_time_seconds", "eval_seconds", "eval_time_s",
        "eval_ops_seconds",
    ),
    "seed_count": ("n_seeds", "num_seeds", "seed_count"),
}  # fmt: skip
_FIELD_OF = {key: name for name, keys in _KEYS.items() for key in keys}
_TEXT = {
    "name": ("name", "title", "submission_name", "run_name"),
    "author": ("author", "github_id", "authors", "github"),
    "date": ("date",),
    "track": ("track",),
    "hardware": ("hardware", "gpu", "gpu_type", "gpu_config", "platform"),
}
_SEED_GROUPS = {
    "seed_results", "seeds", "per_seed", "seed_bpbs", "val_bpb_seeds", "val_bpb_per_seed", "per_seed_val_bpb",
    "per_seed_bpb", "seed_val_bpbs", "seed_val_bpb", "all_seeds", "per_seed_results", "seed_scores", "val_bpbs",
}  # fmt: skip
_SEED_FIELDS: dict[str, tuple[str, ...]] = {
    "val_bpb": ("val_bpb_exact", "val_bpb", "bpb", "post_ttt_val_bpb", "final_val_bpb"),
    "val_loss": ("val_loss_exact", "val_loss", "loss"),
    "bytes_total": ("artifact_bytes", "bytes_total", "total_bytes", "artifact_size_bytes", "total_submission_bytes"),
    "steps": ("steps", "step_stop", "stop_step", "train_steps"),
    "train_seconds": (
        "train_time_s", "train_s", "wallclock_seconds", "train_wallclock_s", "train_seconds", "train_time_seconds",
    ),
    "eval_seconds": ("eval_time_s", "eval_s", "eval_time_seconds", "eval_seconds", "total_eval_time_s"),
}  # fmt: skip
_PROSE = {
    "blurb", "technique_summary", "notes", "note", "description", "summary", "techniques", "attribution", "compliance",
    "lineage", "based_on", "pytorch_version", "cuda_version", "framework", "flash_attn_version", "key_changes",
    "config", "architecture", "hyperparameters", "status", "tokenizer", "quantization", "compression", "contributors",
    "credits",
}  # fmt: skip
_NUMBER = re.compile(
    r"\s{0,5}[~≈<≤]?\s?([-+]?\d[\d,]{0,20}(?:\.\d{1,20})?(?:[eE][-+]?\d{1,3})?)\s?"
    r"(bytes|b|kb|mb|kib|mib|s|sec|seconds|ms|min|minutes|nats|bpb|%)?\s{0,5}$",
    re.IGNORECASE,
)
_SCALE = {"kb": 1e3, "mb": 1e6, "kib": 1024.0, "mib": 1048576.0, "ms": 1e-3, "min": 60.0, "minutes": 60.0}
_SEED_KEY = re.compile(r"(?:seed[_\- ]?)?(\d{1,10})$", re.IGNORECASE)


def read_claims(folder: SubmissionFolder) -> Claims:
    """The claims of a submission folder; empty where it has neither submission.json nor README."""
    metadata = dict(folder.metadata)
    reader = _Reader(str(folder.metadata_path or folder.path))
    reader.read(metadata)
    claims = reader.claims()
    try:
        text = folder.readme_text
    except InputError as error:
        return replace(claims, warnings=(*claims.warnings, str(error)))
    return _with_readme_figures(_with_readme(_with_readme_score(claims, metadata, text), text), text)


class _Reader:
    """Collects figures while it walks over submission.json."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.figures: dict[str, tuple[int, Figure]] = {}  # field -> (rank of its key, figure)
        self.texts: dict[str, str] = {}
        self.seeds: dict[object, SeedClaim] = {}
        self.listed: list[int] = []
        self.unread: list[str] = []
        self.loose: list[tuple[str, list[object]]] = []  # scores in a list, to be paired with the listed seeds

    def read(self, value: dict[str, object]) -> None:
        for key, item in value.items():
            self._entry(str(key), item)
        for where, scores in self.loose:
            self._pair(where, scores)

    def _entry(self, key: str, value: object) -> None:
        name = key.strip().lower().replace("-", "_").replace(" ", "_")
        for text_field, keys in _TEXT.items():
            if name in keys:
                if isinstance(value, (str, int, float)) and text_field not in self.texts:
                    self.texts[text_field] = str(value)[:500]
                return
        if name in _PROSE or value is None or isinstance(value, bool):
            return
        if name == "seed" and isinstance(value, (int, str)):
            figure = _figure(value, f"submission.json: {key}")
            self.listed += [int(figure.value)] if figure else []
            return
        if name in _SEED_GROUPS:
            self._group(key, value)
        elif name.startswith("seed_") and isinstance(value, dict) and _SEED_KEY.match(name):
            self._seed(name, value, key)
        elif name in _FIELD_OF:
            self._number(_FIELD_OF[name], name, key, value)
        elif name in ("results", "result", "metrics", "evaluation") and isinstance(value, dict):
            for inner, item in value.items():
                inner_name = str(inner).lower()
                if inner_name in _SEED_GROUPS or inner_name in _FIELD_OF:
                    self._entry(str(inner), item)
                else:
                    self._skip(f"{key}.{inner}")
        else:
            self._skip(key)

    def _skip(self, key: str) -> None:
        if len(self.unread) < 200:
            self.unread.append(key[:100])

    def _number(self, field_name: str, name: str, key: str, value: object) -> None:
        if isinstance(value, dict):  # one value a seed: artifact_size_bytes: {"1337": 15839505, ...}
            numbers = [f for f in (_figure(v, f"submission.json: {key}") for v in value.values()) if f]
            if field_name == "bytes_total" and numbers and len(numbers) == len(value):
                self.figures.setdefault(field_name, (99, max(numbers, key=lambda f: f.value)))
            else:
                self._skip(key)
            return
        figure = _figure(value, f"submission.json: {key}")
        if figure is None or (figure.value <= 0 and field_name not in ("std", "loss_std")) or figure.value < 0:
            self._skip(f"{key} = {str(value)[:40]}")
            return
        rank = _KEYS[field_name].index(name)
        if field_name not in self.figures or rank < self.figures[field_name][0]:
            self.figures[field_name] = (rank, figure)

    def _group(self, key: str, value: object) -> None:
        if isinstance(value, dict):
            for name, item in list(value.items())[:SEEDS]:
                self._seed(str(name), item, f"{key}.{name}")
        elif isinstance(value, list):
            scores: list[object] = []
            for index, item in enumerate(value[:SEEDS]):
                if isinstance(item, dict):
                    self._seed(str(item.get("seed", item.get("SEED", ""))), item, f"{key}[{index}]")
                elif isinstance(item, int) and not isinstance(item, bool):
                    self.listed.append(item)
                elif isinstance(item, str) and _SEED_KEY.match(item):
                    self.listed.append(int(item.lower().removeprefix("seed").strip("_- ")))
                else:
                    scores.append(item)
            if scores and len(scores) == len(value):
                self.loose.append((key, scores))
        elif isinstance(value, int) and not isinstance(value, bool) and key.lower() == "seeds":
            self.figures.setdefault("seed_count", (9, Figure(value, 0, f"submission.json: {key}")))
        else:
            self._skip(key)

    def _pair(self, where: str, scores: list[object]) -> None:
        """A bare list of scores belongs to the listed seeds in their order, where there are as many."""
        figures = [_figure(item, f"submission.json: {where}") for item in scores]
        if not all(f and 0 < f.value < 20 for f in figures):
            self._skip(where)
            return
        paired = self.listed if len(self.listed) == len(figures) else [None] * len(figures)
        if self.seeds:
            return
        for index, (seed, figure) in enumerate(zip(paired, figures, strict=True)):
            assert figure
            self.seeds[seed if seed is not None else f"#{index}"] = SeedClaim(
                seed, figure.value, decimals=figure.decimals, where=f"submission.json: {where}[{index}]"
            )

    def _seed(self, name: str, value: object, where: str) -> None:
        match = _SEED_KEY.match(name.strip())
        if not match:
            self._skip(where)
            return
        seed = int(match[1])
        place = f"submission.json: {where}"
        if not isinstance(value, dict):
            figure = _figure(value, place)
            if figure and 0 < figure.value < 20 and figure.decimals:
                known = self.seeds.get(seed)
                if known is None or known.val_bpb is None:
                    self.seeds[seed] = replace(
                        known or SeedClaim(seed), val_bpb=figure.value, decimals=figure.decimals, where=place
                    )
            else:
                self._skip(where)
            return
        claim = self.seeds.get(seed, SeedClaim(seed, where=place))
        lower = {str(k).lower(): v for k, v in value.items()}
        for field_name, keys in _SEED_FIELDS.items():
            for key in keys:
                figure = _figure(lower.get(key), place)
                if figure is None or figure.value <= 0 or getattr(claim, field_name) is not None:
                    continue
                if field_name == "val_bpb":
                    claim = replace(claim, val_bpb=figure.value, decimals=figure.decimals, where=f"{place}.{key}")
                else:
                    whole = field_name in ("bytes_total", "steps")
                    change: dict[str, Any] = {field_name: int(figure.value) if whole else figure.value}
                    claim = replace(claim, **change)
        self.seeds[seed] = claim

    def claims(self) -> Claims:
        figures = {name: figure for name, (_, figure) in self.figures.items()}
        whole = {"bytes_total", "bytes_model", "bytes_code", "seed_count"}
        numbers: dict[str, Any] = {k: int(f.value) if k in whole else f.value for k, f in figures.items()}
        return Claims(
            path=self.path,
            hardware_where="submission.json" if "hardware" in self.texts else "",
            seeds=tuple(self.seeds.values()),
            seed_list=tuple(dict.fromkeys(self.listed)),
            figures=figures,
            unread=tuple(self.unread),
            **{**self.texts, **numbers},
        )


def _figure(value: object, where: str) -> Figure | None:
    """A finite number from JSON or from a text that is one number with a unit; None otherwise."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        if isinstance(value, int) and abs(value) > 10**15:
            return None
        if not math.isfinite(value):
            return None
        exponent = Decimal(repr(value)).as_tuple().exponent
        return Figure(float(value), max(-exponent, 0) if isinstance(exponent, int) else 0, where)
    if isinstance(value, str) and len(value) <= 60:
        match = _NUMBER.match(value)
        if match and match[2] != "%":
            number = float(match[1].replace(",", "")) * _SCALE.get((match[2] or "").lower(), 1.0)
            scaled = (match[2] or "").lower() in _SCALE
            decimals = len(match[1].partition(".")[2]) - (6 if scaled else 0)
            return Figure(number, decimals, where) if math.isfinite(number) else None
    return None


# -- README ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    seed: int
    scores: dict[str, Figure]


def _rows(table: Table) -> Iterator[_Row]:
    """The rows of a table that give scores for a seed."""
    at = next(
        (i for i, heading in enumerate(table.headings) if heading.strip("#: ") in ("seed", "seeds", "seed id")), None
    )
    if at is None:
        return
    for row in table.rows:
        match = _SEED_KEY.match(row[at]) if at < len(row) else None
        if match:
            scores = {}
            for heading, cell in zip(table.headings, row, strict=False):
                figure = _figure(cell, f"README.md line {table.line}")
                if figure and 0 < figure.value < 20 and figure.decimals >= 3:
                    scores[heading] = figure
            yield _Row(int(match[1]), scores)


def _with_readme(claims: Claims, text: str) -> Claims:
    """Add the seeds of a README's table where submission.json has none: the column whose mean is the claimed score."""
    warnings = list(claims.warnings)
    if any(seed.val_bpb is not None for seed in claims.seeds):
        return claims
    for table in tables(text, warnings):
        rows = list(_rows(table))
        if not rows or len({row.seed for row in rows}) != len(rows):
            continue
        for heading in table.headings:
            figures = [row.scores.get(heading) for row in rows]
            if claims.val_bpb is None or not all(figures):
                continue
            mean = math.fsum(f.value for f in figures if f) / len(figures)
            slack = max(f.slack for f in figures if f) + claims.figures["val_bpb"].slack
            if abs(mean - claims.val_bpb) <= slack:
                known = {seed.seed: seed for seed in claims.seeds}
                seeds = tuple(
                    replace(
                        known.get(row.seed, SeedClaim(row.seed)), val_bpb=f.value, decimals=f.decimals, where=f.where
                    )
                    for row, f in zip(rows, figures, strict=True)
                    if f
                )
                return replace(claims, seeds=seeds, warnings=tuple(warnings))
    return replace(claims, warnings=tuple(warnings))


def _with_readme_score(claims: Claims, metadata: dict[str, object], text: str) -> Claims:
    """Add the README's score where submission.json has no key for one: a null there says that there is none."""
    if claims.val_bpb is not None or any("bpb" in str(key).lower() for key in metadata):
        return claims
    said = headline(text)
    return _with(claims, "val_bpb", said) if said else claims


def _with_readme_figures(claims: Claims, text: str) -> Claims:
    """Add what the README says beside the claimed score, where submission.json says nothing of it."""
    if claims.val_bpb is None:
        return claims
    warnings = list(claims.warnings)
    found = beside(text, claims.val_bpb, warnings)
    claims = replace(claims, warnings=tuple(dict.fromkeys(warnings)))
    if claims.bytes_total is None and found.bytes_total is not None:  # of one seed, or of their mean: not the largest
        figure = Figure(found.bytes_total.value, found.bytes_total.decimals, f"README.md line {found.bytes_total.line}")
        claims = replace(claims, figures={**claims.figures, "readme_bytes": figure})
    if claims.train_seconds is None and found.train_seconds is not None:
        claims = _with(claims, "train_seconds", found.train_seconds)
    if claims.hardware is None and found.hardware is not None:
        claims = replace(claims, hardware=found.hardware[:500], hardware_where=f"README.md line {found.hardware_line}")
    return claims


def _with(claims: Claims, name: str, said: Said) -> Claims:
    figure = Figure(said.value, said.decimals, f"README.md line {said.line}")
    changes: dict[str, Any] = {"figures": {**claims.figures, name: figure}, name: said.value}
    return replace(claims, **changes)
