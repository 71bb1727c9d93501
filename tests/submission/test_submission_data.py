"""Shards, the order of tokens, and the bytes they stand for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.data import ByteTable, TokenStream, read_shard, read_split, unigram_entropy, write_shard
from submission.errors import InputError


@given(st.lists(st.integers(0, 65_535), max_size=300))
def test_a_shard_gives_back_what_was_written(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("shard") / "fineweb_val_000000.bin"
    write_shard(path, np.array(tokens, dtype=np.int64))
    assert read_shard(path).tolist() == tokens


def test_the_header_is_the_contests(tmp_path):
    path = tmp_path / "a.bin"
    write_shard(path, np.arange(5))
    raw = path.read_bytes()
    assert np.frombuffer(raw[:1024], "<i4")[:3].tolist() == [20240520, 1, 5]
    assert len(raw) == 1024 + 10


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda raw: raw[:-1], "bytes for 50 tokens"),
        (lambda raw: raw + b"\0", "bytes for 50 tokens"),
        (lambda raw: raw[:100], "a shard header"),
        (lambda raw: b"\0" * 4 + raw[4:], "shard magic"),
        (lambda raw: b"", "a shard header"),
    ],
)
def test_a_damaged_shard_is_refused(tmp_path, change, expected):
    path = tmp_path / "fineweb_val_000000.bin"
    write_shard(path, np.arange(50))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=expected) as error:
        read_shard(path)
    assert str(path) in str(error.value)


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(InputError, match="fineweb_val_"):
        read_split(tmp_path, "val")


def _stream(folder: Path) -> TokenStream:
    paths = (folder / "fineweb_train_000000.bin", folder / "fineweb_train_000001.bin")
    write_shard(paths[0], np.arange(7))
    write_shard(paths[1], np.arange(7, 12))
    return TokenStream(paths)


def test_a_damaged_shard_is_found_before_its_turn(tmp_path):
    stream = _stream(tmp_path)
    stream.paths[1].write_bytes(stream.paths[1].read_bytes()[:-1])
    with pytest.raises(InputError, match=r"fineweb_train_000001\.bin: expected 1034 bytes"):
        TokenStream(stream.paths)


def test_a_token_beyond_the_vocabulary_is_refused(tmp_path):
    paths = _stream(tmp_path).paths
    with pytest.raises(
        InputError, match=r"fineweb_train_000000\.bin: expected tokens below 6, the vocabulary, found 6"
    ):
        TokenStream(paths, vocab_size=6)
    stream = TokenStream(paths, vocab_size=8)
    with pytest.raises(InputError, match=r"fineweb_train_000001\.bin"):
        stream.take(9)


def test_a_stream_runs_over_shards_and_begins_again(tmp_path):
    assert _stream(tmp_path).take(15).tolist() == [*range(12), 0, 1, 2]


def test_a_stream_resumes_at_the_same_token(tmp_path):
    stream = _stream(tmp_path)
    stream.take(9)
    state, rest = stream.state, stream.take(8).tolist()
    again = _stream(tmp_path)
    again.seek(state)
    assert again.take(8).tolist() == rest


def test_shards_without_any_token_are_refused(tmp_path):
    path = tmp_path / "fineweb_train_000000.bin"
    write_shard(path, np.arange(0))
    with pytest.raises(InputError, match="at least one"):
        TokenStream((path,))


def test_a_leading_space_counts_only_after_a_token_that_stands_for_bytes():
    table = ByteTable(np.array([0, 3], np.int16), np.array([False, True]), np.array([True, False]))
    assert table.count(np.array([0, 1]), np.array([1, 1])).tolist() == [3, 4]


def test_unigram_entropy_of_four_equal_tokens_is_two_bits():
    nats, bits = unigram_entropy(np.array([0, 1, 2, 3] * 5, dtype=np.uint16), 2.0)
    assert nats == pytest.approx(np.log(4))
    assert bits == pytest.approx(1.0)
