"""Fills in where a run reads and writes, and looks there before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from submission.config import Config
from submission.corpus import embedded
from submission.data import shard_paths
from submission.errors import InputError


def located(config: Config) -> Config:
    """The configuration with its places filled in: data, tokenizer, output folder, name of the run.

    Raises:
        InputError: one of data and tokenizer without the other, or a folder without shards.
    """
    if bool(config.data_path) != bool(config.tokenizer_path):
        raise InputError("environment", "DATA_PATH and TOKENIZER_PATH together or neither", "only one of them")
    run_id = config.run_id or f"{config.preset}_seed{config.seed}"
    out_dir = config.out_dir or str(Path("runs") / run_id)
    config = replace(config, run_id=run_id, out_dir=out_dir)
    if not config.data_path:
        dataset = embedded(vocab_size=config.vocab_size)
        return replace(config, data_path=str(dataset.folder), tokenizer_path=str(dataset.tokenizer))
    for split in ("train", "val"):
        shard_paths(Path(config.data_path), split)
    return config
