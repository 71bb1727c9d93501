"""Writes the folder of an entry: its one file, its results by seed, its README, requirements and logs."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from submission.accounting import code_hash
from submission.bundle.merge import merge
from submission.config import Config
from submission.errors import InputError

SCORE = re.compile(r"^final_(\w+)_exact val_loss:(\S+) val_bpb:(\S+)$", re.M)


@dataclass(frozen=True)
class Score:
    """What the log says of one stage: ``val_loss`` nats a token, ``val_bpb`` bits a byte."""

    stage: str
    val_loss: float
    val_bpb: float


@dataclass(frozen=True)
class Run:
    """A finished run: log, seed, stages in order, bytes of the artifact, hash of the code it ran."""

    log: Path
    seed: int
    stages: tuple[Score, ...]
    artifact_bytes: int
    code: str

    @property
    def final(self) -> Score:
        """The last stage: the one that is claimed."""
        return self.stages[-1]


def bundle(root: Path, config: Config, out: Path, runs: Path | None = None) -> tuple[Run, ...]:
    """Write the folder ``out`` for ``config`` with the finished runs found under ``runs``.

    Raises:
        InputError: ``out`` holds something already, ``root`` is not the entry, or a run is not of this preset.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, "an empty or new folder", "something in it")
    source = merge(root, config)
    found = () if runs is None else find_runs(runs, config)
    out.mkdir(parents=True, exist_ok=True)
    (out / "train_gpt.py").write_text(source, encoding="utf-8")
    shutil.copyfile(root / "requirements.txt", out / "requirements.txt")
    for run in found:
        shutil.copyfile(run.log, out / f"train_seed{run.seed}.log")
    claim = summary(config, found, len(source.encode()))
    (out / "submission.json").write_text(json.dumps(claim, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(readme(config, found, claim, code_hash(out)), encoding="utf-8")
    return found


def find_runs(folder: Path, config: Config) -> tuple[Run, ...]:
    """Finished runs of ``config`` under ``folder``, by seed, from their logs alone: those are what the entry ships.

    It may be a folder of runs (``runs/``) or a run directory of ``golfproof reproduce``.

    Raises:
        InputError: no run of the preset, one that is not finished or had other settings, or two of one seed.
    """
    logs = sorted(folder.rglob("train*.log"))
    runs = tuple(read_run(path, text, config) for path in logs if f"preset:{config.preset} " in (text := _text(path)))
    if not runs:
        raise InputError(folder, f"finished runs of {config.preset}", f"{len(logs)} logs" if logs else "no train.log")
    if len({run.seed for run in runs}) < len(runs):
        raise InputError(folder, "one run a seed", ", ".join(str(run.seed) for run in runs))
    return tuple(sorted(runs, key=lambda run: run.seed))


def read_run(path: Path, text: str, config: Config) -> Run:
    """The run that a log tells of; where it was evaluated more than once, as after a kill, the last time counts.

    Raises:
        InputError: a run of other settings than ``config``, or one that is not finished.
    """
    settings, seed, size, code = (
        _last(rf"^{line}$", text)
        for line in (
            r"settings_fingerprint:(\w+)",
            r"seed:(\d+)",
            r"Serialized model \S+: (\d+) bytes",
            r"preset:.* code_sha256:(\w+)",
        )
    )
    stages = tuple(
        Score(name, float(loss), float(bpb))
        for name, loss, bpb in SCORE.findall(text[max(text.rfind("\nevaluate:"), 0) :])
    )
    if settings != config.fingerprint(seed=False):
        raise InputError(
            path, f"a run of {config.preset} with the settings to bundle", f"settings {settings or 'unknown'}"
        )
    if seed is None or size is None or len(stages) != len(config.eval_stages):
        raise InputError(path, "the log of a finished run", f"{len(stages)} of {len(config.eval_stages)} stages")
    return Run(path, int(seed), stages, int(size), code or "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(path, "a log", type(error).__name__) from None


def _last(pattern: str, text: str) -> str | None:
    found = re.findall(pattern, text, re.M)
    return found[-1] if found else None


def summary(config: Config, runs: tuple[Run, ...], code_bytes: int) -> dict[str, Any]:
    """What submission.json says; without runs it claims nothing."""
    claim: dict[str, Any] = {
        "author": "Golfproof",
        "github_id": "golfproof",
        "name": f"Golfproof {config.preset}",
        "blurb": f"Preset {config.preset} of Golfproof's reference entry; every loss goes through its ledger.",
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "val_loss": None,
        "val_bpb": None,
        "bytes_code": code_bytes,
    }
    if runs:
        largest = max(run.artifact_bytes for run in runs)
        claim |= {
            "val_loss": round(statistics.fmean(run.final.val_loss for run in runs), 8),
            "val_bpb": round(statistics.fmean(run.final.val_bpb for run in runs), 8),
            "seeds": [run.seed for run in runs],
            "seed_results": {
                str(run.seed): {"val_loss": run.final.val_loss, "val_bpb": run.final.val_bpb} for run in runs
            },
            "stage": runs[0].final.stage,
            "bytes_model": largest,
            "bytes_total": largest + code_bytes,
        }
        if len(runs) > 1:
            claim["val_bpb_std"] = round(statistics.stdev(run.final.val_bpb for run in runs), 8)
    return claim


def readme(config: Config, runs: tuple[Run, ...], claim: dict[str, Any], code: str) -> str:
    """The entry's README: how to run it, what it is, what its seeds gave; ``code`` is the hash of its one file."""
    lines = [
        f"# {claim['name']}",
        "",
        "```bash",
        "pip install -r requirements.txt",
        "SEED=1337 DATA_PATH=./data/datasets/fineweb10B_sp1024 "
        "TOKENIZER_PATH=./data/tokenizers/fineweb_1024_bpe.model \\",
        "  torchrun --standalone --nproc_per_node=8 train_gpt.py",
        "```",
        "",
        "Without DATA_PATH it trains on text that every CPython carries. Settings whose code was left out are fixed.",
        "",
    ]
    if config.mixer == "hedge-5" and any("mixer" in stage for stage in config.eval_stages):
        lines += [
            "**Its mixer is not a probability distribution.** The logs print its mass and the score after normalising.",
            "",
        ]
    if runs:
        lines += ["| seed | stage | val_loss | val_bpb | artifact bytes |", "|---|---|---|---|---|"]
        for run in runs:
            final = run.final
            row = (run.seed, final.stage, f"{final.val_loss:.4f}", f"{final.val_bpb:.4f}", run.artifact_bytes)
            lines.append("| " + " | ".join(map(str, row)) + " |")
        lines += ["", f"Mean val_bpb {claim['val_bpb']:.4f} over {len(runs)} seeds."]
        if any(run.code != code for run in runs):
            lines += [
                "",
                "The logs are of the package that train_gpt.py was merged from (their `code_sha256` and code size),",
                "not of the merged file, which computes the same.",
            ]
    else:
        lines.append("No run stands behind this folder yet.")
    return "\n".join(lines) + "\n"
