"""The embedded corpus: English text that every CPython carries, tokenised and written as the contest's shards."""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import platform
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from submission.cache import cache_folder
from submission.data import write_shard
from submission.errors import InputError

LAYOUT = 2  # raise it when the text or its split changes: older caches are then left alone
VAL_SHARE = 24  # one document in this many is for validation
LONGEST = 6000  # characters; longer texts are cut at paragraphs into several documents
SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"})
LICENCES = (Path("/usr/share/common-licenses"), Path("/usr/share/licenses"))


@dataclass(frozen=True)
class Dataset:
    """A folder of shards and the tokenizer they were made with."""

    folder: Path
    tokenizer: Path


def embedded(cache: Path | None = None, vocab_size: int = 1024) -> Dataset:
    """The embedded corpus for this Python, built on the first call (some ten seconds) and kept in the cache.

    Raises:
        InputError: a vocabulary outside 256..1024, or a cache folder that cannot be written.
    """
    if not 256 <= vocab_size <= 1024:
        raise InputError("vocabulary of the embedded corpus", "256 to 1024 pieces", str(vocab_size))
    root = cache or cache_folder()
    # Named unlike the contest's own splits (sp1024, fineweb_1024_bpe): a score on this text is no score of the contest.
    folder = root / "embedded" / f"v{LAYOUT}-python{platform.python_version()}-vocab{vocab_size}"
    dataset = Dataset(folder, folder / f"embedded_vocab{vocab_size}.model")
    if folder.is_dir():
        return dataset
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    except OSError as error:
        raise InputError(root, "a cache folder that can be written", error.strerror or str(error)) from None
    try:
        _build(draft, dataset.tokenizer.name, vocab_size)
        draft.rename(folder)  # a folder appears whole or not at all, whoever else builds it meanwhile
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return dataset


def _build(folder: Path, model_name: str, vocab_size: int) -> None:
    import sentencepiece

    train, val = split(documents())
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in train for line in text.splitlines() if line),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        character_coverage=0.999,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,  # the same pieces on every machine
        minloglevel=2,
    )
    (folder / model_name).write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / model_name))
    for name, texts in (("train", train), ("val", val)):
        rows = processor.encode(list(texts), add_bos=True)
        write_shard(folder / f"fineweb_{name}_000000.bin", np.concatenate([np.asarray(row) for row in rows]))


def split(texts: Iterator[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Train and validation documents, without duplicates, in an order and a split that only the text decides."""
    keyed = sorted({hashlib.sha256(text.encode()).digest(): text for text in texts}.items())
    val = tuple(text for key, text in keyed if key[-1] % VAL_SHARE == 0)
    return tuple(text for key, text in keyed if key[-1] % VAL_SHARE), val


def documents() -> Iterator[str]:
    """The texts: the language reference's topics, the standard library's docstrings by module, licences."""
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        yield from cut(topics[topic])
    seen: set[str] = set()
    for path in _library_files():
        fresh = [text for text in docstrings(path) if not (text in seen or seen.add(text))]  # type: ignore[func-returns-value]
        if sum(map(len, fresh)) > 200:
            yield from cut("\n\n".join(fresh))
    for folder in LICENCES:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and not path.is_symlink():
                yield from cut(path.read_text(encoding="utf-8", errors="ignore"))


def docstrings(path: Path) -> list[str]:
    """The docstrings of a module in source order, read with ``ast``: nothing is imported."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text and len(text) > 40:
                name = path.stem if isinstance(node, ast.Module) else node.name
                texts.append(f"{name}: {inspect.cleandoc(text)}")
    return texts


def cut(text: str) -> Iterator[str]:
    """A long text as documents of at most about ``LONGEST`` characters, parted between paragraphs."""
    part = ""
    for paragraph in text.strip().split("\n\n"):
        if part and len(part) + len(paragraph) > LONGEST:
            yield part
            part = ""
        part = f"{part}\n\n{paragraph}" if part else paragraph
    if part.strip():
        yield part


def _library_files() -> list[Path]:
    root = Path(sysconfig.get_paths()["stdlib"])
    return sorted(path for path in root.rglob("*.py") if not SKIPPED & set(path.relative_to(root).parts))
