"""The embedded corpus: documents, their split, and the cache."""

import numpy as np
import pytest
import sentencepiece

from submission import corpus
from submission.data import byte_table, read_split
from submission.errors import InputError


@pytest.fixture
def few(monkeypatch):
    """A corpus of 60 short documents, so that the tokenizer trains in no time."""
    words = [word * 3 for word in ("the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "near", "rivers")]
    texts = [" ".join(np.random.default_rng(n).permutation(words * 4)) + f"\n\n{n} \N{SNOWMAN}" for n in range(60)]
    monkeypatch.setattr(corpus, "documents", lambda: iter(texts))
    return texts


def test_shards_hold_every_document_after_a_boundary(tmp_path, few):
    dataset = corpus.embedded(tmp_path, 300)
    val = read_split(dataset.folder, "val")
    model = sentencepiece.SentencePieceProcessor(model_file=str(dataset.tokenizer))
    assert (val == model.bos_id()).sum() == len(corpus.split(iter(few))[1])


def test_the_byte_table_counts_the_utf8_bytes_of_the_text(tmp_path, few):
    dataset = corpus.embedded(tmp_path, 300)
    val = read_split(dataset.folder, "val")
    count = byte_table(dataset.tokenizer, 300).count(val[:-1], val[1:]).sum()
    assert count == sum(len(text.encode()) for text in corpus.split(iter(few))[1])


def test_no_document_is_in_both_splits(few):
    train, val = corpus.split(iter([*few, *few]))
    assert not set(train) & set(val)
    assert sorted([*train, *val]) == sorted(few)


def test_it_is_built_once_and_the_same_everywhere(tmp_path, few):
    first = corpus.embedded(tmp_path / "a", 300)
    second = corpus.embedded(tmp_path / "b", 300)
    for name in ("fineweb_train_000000.bin", "fineweb_val_000000.bin", first.tokenizer.name):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    before = (first.folder / "fineweb_val_000000.bin").stat().st_mtime_ns
    assert corpus.embedded(tmp_path / "a", 300) == first
    assert (first.folder / "fineweb_val_000000.bin").stat().st_mtime_ns == before
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]


@pytest.mark.parametrize("size", [255, 1025])
def test_a_vocabulary_out_of_range_is_refused(tmp_path, size):
    with pytest.raises(InputError, match="256 to 1024"):
        corpus.embedded(tmp_path, size)


def test_a_tokenizer_of_another_size_is_refused(tmp_path, few):
    with pytest.raises(InputError, match="a vocabulary of 512, found 300"):
        byte_table(corpus.embedded(tmp_path, 300).tokenizer, 512)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    path = tmp_path / "x.model"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="a SentencePiece model"):
        byte_table(path, 300)


def test_docstrings_are_read_without_importing(tmp_path):
    source = tmp_path / "dangerous.py"
    long = "Explains at some length what this function is for and when not to use it."
    source.write_text(f'raise SystemExit\ndef f():\n    """{long}"""\n')
    assert corpus.docstrings(source) == [f"f: {long}"]


def test_long_texts_are_cut_between_paragraphs():
    text = "\n\n".join("word " * 200 for _ in range(20))
    parts = list(corpus.cut(text))
    assert len(parts) > 2
    assert all(len(part) <= corpus.LONGEST for part in parts)
