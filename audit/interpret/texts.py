"""What a text in the program tells: which data a file name stands for, and what of a message is known."""

from __future__ import annotations

import ast
import re

from audit.interpret.containers import known_items
from audit.interpret.heap import Template, constant
from audit.provenance import BYTES, TRAIN, VAL, Value

VAL_FILE = re.compile(r"(^|[^a-z])val(id|idation)?([^a-z]|$)", re.I)
TRAIN_FILE = re.compile(r"(^|[^a-z])train(ing)?([^a-z]|$)", re.I)
CODE_FILE = re.compile(r"\.(?:py|pyx|c|cc|cpp|cxx|cu|cuh|h|hpp|so|rs|ptx|cubin|dll|dylib)$", re.I)
DATA_FILE = re.compile(r"\*|\.bin\b|\.npy\b|\.npz\b|\.pt\b|\.jsonl\b|\.parquet\b|\.u16\b|\.tokens\b", re.I)


def text_bits(text: str) -> int:
    """Say which data a file name or pattern stands for."""
    if len(text) > 300 or "\n" in text or not DATA_FILE.search(text):
        return 0
    name = text.rsplit("/", 1)[-1] if not text.endswith("/") else text
    bits = 0
    if "byte" in name.lower():
        return BYTES  # a sidecar with the bytes of each token
    if VAL_FILE.search(name):
        bits |= VAL
    elif TRAIN_FILE.search(name):
        bits |= TRAIN
    return bits


def joined_bits(bits: int, text: str) -> int:
    """What a path stands for: where its last part names the data, the folder's name says nothing more."""
    named = text_bits(text)
    return (bits & ~(VAL | TRAIN) if named & (VAL | TRAIN) else bits) | named


def setting(given: object) -> Value:
    """Return a setting as a value; a path stands for the data that its name promises."""
    return Value(text_bits(given), given) if isinstance(given, str) else constant(given)


def text_of(value: Value) -> str | None:
    """Return the text a value holds, unknown parts as NUL."""
    if isinstance(value.const, str):
        return value.const
    return value.thing.text if isinstance(value.thing, Template) else None


def names_code(value: Value) -> bool:
    """Say whether a value is the path of a file of code."""
    return CODE_FILE.search(text_of(value) or "") is not None


def texts_in(value: Value) -> list[str]:
    """Return the texts in a value and its elements."""
    text = text_of(value)
    if text is not None:
        return [text]
    return [t for item in known_items(value) or () if (t := text_of(item)) is not None]


def literal(node: ast.expr) -> str | None:
    """Return the text of a string expression, unknown parts as NUL."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "\0" for p in node.values)
    return None
