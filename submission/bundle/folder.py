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

from submission.bundle.merge import merge
from submission.config import Config
from submission.errors import InputError


@dataclass(frozen=True)
class Run:
    """A finished run: where it is, its seed, its stages in order, and the bytes of its artifact."""

    folder: Path
    seed: int
    stages: tuple[dict[str, Any], ...]
    artifact_bytes: int

    @property
    def final(self) -> dict[str, Any]:
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
        shutil.copyfile(run.folder / "train.log", out / f"train_seed{run.seed}.log")
    claim = summary(config, found, len(source.encode()))
    (out / "submission.json").write_text(json.dumps(claim, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(readme(config, found, claim), encoding="utf-8")
    return found


def find_runs(folder: Path, config: Config) -> tuple[Run, ...]:
    """Finished runs of the preset under ``folder``, by seed."""
    runs = []
    for path in sorted(folder.rglob("results.json")):
        log = path.with_name("train.log")
        try:
            text = log.read_text(encoding="utf-8")
            stages = tuple(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(path.parent, "train.log and results.json of a run", type(error).__name__) from None
        if f"preset:{config.preset} " not in text:
            continue
        seed = re.search(r"^seed:(\d+)$", text, re.M)
        size = re.findall(r"^Serialized model \S+: (\d+) bytes$", text, re.M)
        if seed is None or not size or not stages:
            raise InputError(log, "the log of a whole run", "one without its seed, size or scores")
        runs.append(Run(path.parent, int(seed[1]), stages, int(size[-1])))
    if not runs:
        raise InputError(folder, f"finished runs of {config.preset}", "none")
    if len({run.seed for run in runs}) < len(runs):
        raise InputError(folder, "one run a seed", ", ".join(str(run.seed) for run in runs))
    return tuple(sorted(runs, key=lambda run: run.seed))


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
        scores = [run.final["score"] for run in runs]
        largest = max(run.artifact_bytes for run in runs)
        claim |= {
            "val_loss": round(statistics.fmean(s["val_loss"] for s in scores), 8),
            "val_bpb": round(statistics.fmean(s["val_bpb"] for s in scores), 8),
            "seeds": [run.seed for run in runs],
            "seed_results": {
                str(run.seed): {key: round(run.final["score"][key], 8) for key in ("val_loss", "val_bpb")}
                for run in runs
            },
            "stage": runs[0].final["stage"],
            "bytes_model": largest,
            "bytes_total": largest + code_bytes,
        }
        if len(runs) > 1:
            claim["val_bpb_std"] = round(statistics.stdev(s["val_bpb"] for s in scores), 8)
    return claim


def readme(config: Config, runs: tuple[Run, ...], claim: dict[str, Any]) -> str:
    """The entry's README: how to run it, what it is, what its seeds gave."""
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
            score = run.final["score"]
            row = (
                run.seed,
                run.final["stage"],
                f"{score['val_loss']:.4f}",
                f"{score['val_bpb']:.4f}",
                run.artifact_bytes,
            )
            lines.append("| " + " | ".join(map(str, row)) + " |")
        lines += ["", f"Mean val_bpb {claim['val_bpb']:.4f} over {len(runs)} seeds."]
    else:
        lines.append("No run stands behind this folder yet.")
    return "\n".join(lines) + "\n"
