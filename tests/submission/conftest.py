"""Small things that several tests of the entry share."""

import dataclasses

import numpy as np
import pytest
import torch

from submission.config import Config, load_config
from submission.data import ByteTable, write_shard

torch.set_num_threads(1)


@pytest.fixture
def small() -> Config:
    """Every feature of ``tiny`` on a network of a few thousand weights over 64 tokens."""
    return dataclasses.replace(
        load_config("tiny", {}),
        vocab_size=64,
        num_layers=3,
        recur_layers=(1,),
        model_dim=32,
        num_heads=4,
        num_kv_heads=2,
        rope_dims=4,
        bigram_vocab_size=64,
        bigram_dim=16,
        value_embed_dim=8,
        value_embed_layers=(2,),
        train_seq_len=16,
        train_batch_tokens=128,
        micro_batches=2,
        iterations=6,
        warmdown_iters=3,
        muon_momentum_warmup_steps=4,
        gptq_samples=4,
        eval_seq_len=16,
        eval_stride=8,
        eval_batch_seqs=4,
        mixer_min_tokens=20,
        ttt_chunk_tokens=64,
        ttt_batch_seqs=2,
        checkpoint_every=2,
    )


@pytest.fixture
def table() -> ByteTable:
    """Two bytes a token, token 1 the boundary."""
    base = np.full(64, 2, np.int16)
    base[1] = 0
    return ByteTable(base, np.zeros(64, np.bool_), np.arange(64) == 1)


@pytest.fixture
def tokens() -> np.ndarray:
    """301 tokens in which pairs repeat, so that there is something to learn."""
    steps = np.random.default_rng(0).integers(1, 4, 301)
    return (np.cumsum(steps) % 62 + 2).astype(np.uint16)


@pytest.fixture
def shards(tmp_path, tokens):
    """A folder with one training and one validation shard."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_shard(folder / "fineweb_train_000000.bin", np.tile(tokens, 8))
    write_shard(folder / "fineweb_val_000000.bin", tokens)
    return folder
