"""Streams have the price that they claim, shards and tokenizers are those that the contest's scripts read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from audit.probe.noise import BOS, DOCUMENT_TOKENS, KINDS, MARKOV_STATES, Source, flip_tail, write_shard
from audit.probe.shrink import Toy, toy_value
from audit.probe.tokenizer import byte_counts, pieces, sentencepiece_model
from submission.data import byte_table


@pytest.mark.parametrize("kind", ["uniform", "zipf", "spike", "alias"])
def test_the_mean_price_is_the_entropy_of_the_law(kind: str) -> None:
    source = Source(kind)
    law = source.probabilities()
    entropy = -sum(p * np.log(p) for p in law if p > 0)
    stream = source.draw(60_000, 5)
    assert law.sum() == pytest.approx(1) and stream.entropy == pytest.approx(entropy, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_the_same_for_the_same_seed_and_another_for_another(kind: str) -> None:
    one, same, other = Source(kind).draw(5000, 1), Source(kind).draw(5000, 1), Source(kind).draw(5000, 2)
    assert np.array_equal(one.tokens, same.tokens) and not np.array_equal(one.tokens, other.tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_documents_open_with_a_free_bos_and_use_ordinary_tokens_otherwise(kind: str) -> None:
    stream = Source(kind).draw(3 * DOCUMENT_TOKENS, 1)
    starts = np.arange(0, len(stream.tokens), DOCUMENT_TOKENS)
    assert set(stream.tokens[starts]) == {BOS} and not stream.nll[starts].any()
    assert np.delete(stream.tokens, starts).min() >= 4 and stream.tokens.max() < 1024


def test_aliased_tokens_agree_in_their_low_bits() -> None:
    tokens = Source("alias").draw(3000, 1).tokens
    assert len({int(t) % 64 for t in tokens if t != BOS}) == 1


def test_a_repeated_block_costs_nothing() -> None:
    stream = Source("repeating").draw(DOCUMENT_TOKENS, 3)
    assert np.array_equal(stream.tokens[128:192], stream.tokens[192:256])
    assert not stream.nll[192:256].any() and (stream.nll[128:192] > 6).all()


def test_a_chain_has_four_successors_a_token() -> None:
    stream = Source("markov").draw(40_000, 3)
    followers: dict[int, set[int]] = {}
    for before, after in zip(stream.tokens[:-1].tolist(), stream.tokens[1:].tolist(), strict=True):
        if BOS not in (before, after):
            followers.setdefault(before, set()).add(after)
    assert max(map(len, followers.values())) == 4 and np.median(stream.nll) == pytest.approx(np.log(4))


def test_a_flipped_tail_keeps_the_head_and_hardly_a_token_of_the_tail_but_bos() -> None:
    stream = Source("spike").draw(6000, 1)
    flipped, parts = flip_tail(stream, 1, 1500, 1024)
    assert np.array_equal(flipped.tokens[:1500], stream.tokens[:1500])
    assert np.array_equal(flipped.nll[:1500], stream.nll[:1500])
    assert (flipped.tokens[1500:] == stream.tokens[1500:]).mean() < 0.01
    assert flipped.tokens[[2048, 4096]].tolist() == [BOS, BOS] and not flipped.nll[[2048, 4096]].any()
    assert [(p.source, p.start, p.stop) for p in parts] == [("repeating", 1500, 3750), ("markov", 3750, 6000)]


def test_a_flipped_tail_repeats_blocks_for_free_and_then_follows_a_chain() -> None:
    flipped, parts = flip_tail(Source("spike").draw(6001, 1), 1, 1500, 1024)
    repeating, markov = (flipped.tokens[p.start : p.stop] for p in parts)
    assert np.array_equal(repeating[:64], repeating[64:128]) and not flipped.nll[1500 + 64 : 1500 + 128].any()
    assert len(set(markov.tolist()) - {BOS}) == MARKOV_STATES


def test_no_document_is_bos_alone() -> None:
    assert Source("spike").draw(2 * DOCUMENT_TOKENS + 1, 1).tokens[-1] != BOS


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(ValueError, match="found pink"):
        Source("pink").draw(10, 1)


def test_a_shard_has_the_contests_header(tmp_path: Path) -> None:
    write_shard(tmp_path / "fineweb_val_000000.bin", np.arange(10))
    header = np.fromfile(tmp_path / "fineweb_val_000000.bin", dtype="<i4", count=256)
    tokens = np.fromfile(tmp_path / "fineweb_val_000000.bin", dtype="<u2", offset=1024)
    assert header[:3].tolist() == [20240520, 1, 10] and tokens.tolist() == list(range(10))


@pytest.mark.parametrize("vocabulary", [64, 261, 1024, 8192])
def test_sentencepiece_reads_the_tokenizer(vocabulary: int) -> None:
    model = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(vocabulary))
    assert model.vocab_size() == vocabulary and model.bos_id() == BOS and model.is_control(0)
    assert model.is_byte(4) == (vocabulary >= 261)
    assert len({model.id_to_piece(i) for i in range(vocabulary)}) == vocabulary


def test_a_larger_tokenizer_begins_with_the_smaller_one() -> None:
    assert pieces(4096)[:1024] == pieces(1024)


def test_bytes_are_counted_as_an_entry_to_the_contest_counts_them(tmp_path: Path) -> None:
    (tmp_path / "1024.model").write_bytes(sentencepiece_model(1024))
    tokens = Source("uniform").draw(5000, 1).tokens
    expected = byte_table(tmp_path / "1024.model", 1024).count(tokens[:-1], tokens[1:])
    assert np.array_equal(byte_counts(tokens, 1024), expected)


@pytest.mark.parametrize(
    ("name", "submitted", "toy"),
    [
        ("MODEL_DIM", "512", "64"),
        ("NUM_KV_HEADS", "8", "4"),
        ("NUM_KV_HEADS", "4", "2"),
        ("TRAIN_SEQ_LEN", "2048", "128"),
        ("TTT_CHUNK_TOKENS", "32768", "2048"),
        ("NGRAM_EVAL_BUCKETS", "4_194_304", "4096"),
        ("EVAL_STRIDE", "64", None),
        ("EVAL_STRIDE", "0", None),
        ("TTT_ENABLED", "1", None),
        ("TTT_LR", "0.002", None),
        ("MATRIX_LR", "0.02", None),
        ("EMA_DECAY", "0.997", "0.5"),
        ("EMA_DECAY", "0", None),
        ("TTT_CHUNK_SIZE", "256", "64"),
        ("EVAL_CTX", "8192", "128"),
        ("TTT_CHUNK_SIZE", "32768", "2048"),
        ("NUM_LAYERS", "11", None),
        ("ITERATIONS", "20000", "12"),
        ("DATA_PATH", "./data", None),
    ],
)  # fmt: skip
def test_sizes_are_made_small_and_rules_of_the_evaluation_are_not(name: str, submitted: str, toy: str | None) -> None:
    assert toy_value(name, submitted, Toy()) == toy
