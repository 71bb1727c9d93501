"""The artifact file: gives back what went in, and refuses anything else."""

import hashlib
import json
import struct
import tracemalloc

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from submission import artifact
from submission.config import Config
from submission.data import ByteTable
from submission.errors import InputError
from submission.model import GPT
from submission.model.state import model_state
from submission.quantize.plan import quantise


@pytest.fixture
def packed(small, table):
    torch.manual_seed(0)
    return artifact.pack(small, quantise(small, model_state(GPT(small))), table)


def test_it_gives_back_the_same_network(small, table, packed):
    torch.manual_seed(0)
    weights = quantise(small, model_state(GPT(small)))
    loaded = artifact.unpack(packed)
    assert loaded.config == small
    for name, parameter in loaded.model().named_parameters():
        assert torch.equal(parameter, weights[name].restored())
    assert (loaded.table.base == table.base).all()


EMPTY = artifact.pack(
    Config(vocab_size=8), {}, ByteTable(*(np.zeros(8, kind) for kind in (np.int16, np.bool_, np.bool_)))
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_noticed(data):
    packed = EMPTY
    place = data.draw(st.integers(0, len(packed) - 1))
    changed = bytearray(packed)
    changed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError):
        artifact.unpack(bytes(changed))


@pytest.mark.parametrize("keep", [0, 10, 45, 60, -1])
def test_a_truncated_file_is_refused(packed, keep):
    with pytest.raises(InputError):
        artifact.unpack(packed[:keep])


def test_a_file_with_more_behind_it_is_refused(packed):
    with pytest.raises(InputError):
        artifact.unpack(packed + b"\0")


def forged(content: bytes, size: int | None = None) -> bytes:
    """A file with a right checksum over a content of ours."""
    body = struct.pack("<Q", len(content) if size is None else size) + zstandard.ZstdCompressor().compress(content)
    return b"GPFA" + struct.pack("<H", 1) + hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xff\xff\xff",
        struct.pack("<I", 2) + b"{}",
        struct.pack("<I", 2) + b"[]",
        struct.pack("<I", 44) + b'{"tensors":[["a","values","f4",[9,9],0]]}   ',
        struct.pack("<I", 44) + b'{"tensors":[["a","values","f4",[-1,1],0]]}  ',
        struct.pack("<I", 44) + b'{"tensors":[["a","values","O0",[1,1],0]]}   ',
    ],
)
def test_an_index_that_lies_is_refused(content):
    with pytest.raises(InputError):
        artifact.unpack(forged(content))


def test_an_announced_size_is_limited():
    with pytest.raises(InputError, match="at most"):
        artifact.unpack(forged(b"abc", size=1 << 40))


def test_a_frame_that_holds_more_than_it_announces_is_refused():
    with pytest.raises(InputError):
        artifact.unpack(forged(b"\0" * 5000, size=10))


def test_no_more_of_a_frame_is_unpacked_than_it_announces():
    content = b"\0" * (64 << 20)
    compressor = zstandard.ZstdCompressor(level=1).compressobj()  # a frame that does not say how long it is
    frame = compressor.compress(content) + compressor.flush()
    body = struct.pack("<Q", 10) + frame
    del content
    tracemalloc.start()
    with pytest.raises(InputError, match="10 bytes of content, found more"):
        artifact.unpack(b"GPFA" + struct.pack("<H", 1) + hashlib.sha256(body).digest() + body)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def rewritten(packed: bytes, change) -> bytes:
    """The artifact with another index and a right checksum."""
    content = zstandard.ZstdDecompressor().decompress(packed[artifact.PREFIX.size :])
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    change(header)
    index = json.dumps(header).encode()
    return forged(struct.pack("<I", len(index)) + index + content[4 + length :])


def tensor(header, name, role):
    return next(row for row in header["tensors"] if row[:2] == [name, role])


def test_an_index_rewritten_without_a_change_is_read(packed):
    assert artifact.unpack(rewritten(packed, lambda header: None)).config == artifact.unpack(packed).config


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda h: h["tensors"].insert(0, ["smear.gate", "values", "i1", [0], 0]), "stands there twice"),
        (lambda h: tensor(h, "tok_emb.weight", "values").__setitem__(2, "b1"), "a scale that does not fit"),
        (lambda h: tensor(h, "base", "table").__setitem__(3, [2, 32]), "byte table of another vocabulary"),
        (lambda h: h["config"].__setitem__("vocab_size", 63), "byte table of another vocabulary"),
        (lambda h: h["config"].__setitem__("num_layers", 0), "at least 1"),
        (lambda h: h["config"].__setitem__("matrix_lr", float("nan")), "a finite number"),
        (lambda h: h["config"].__setitem__("model", 1), "known settings"),
    ],
)
def test_a_rewritten_index_is_refused(small, table, change, expected):
    state = model_state(GPT(small))
    state["tok_emb.weight"] = torch.randn(2048, 64)  # large enough to be stored in integers
    packed = artifact.pack(small, quantise(small, state), table)
    with pytest.raises(InputError, match=expected):
        artifact.unpack(rewritten(packed, change))


def test_saving_leaves_no_half_written_file(tmp_path, packed):
    path = tmp_path / "model.gpfa"
    artifact.save(path, packed)
    assert artifact.load(path).table.base.size == 64
    assert [p.name for p in tmp_path.iterdir()] == ["model.gpfa"]


def test_a_missing_file_is_one_line():
    with pytest.raises(InputError, match="an artifact"):
        artifact.load(artifact.Path("/nowhere/model.gpfa"))
