"""How a program sizes the pieces of its tokenizer: what it fills, what it reads from a file."""

from __future__ import annotations

import ast
from pathlib import Path

from audit.byte_tables import read_tables
from audit.source import Module, read_sources
from reproduce.folder import open_folder

PROGRAM = """
import numpy as np


def sizes(path):
    with np.load(path) as data:
        return data["base_bytes"]


def other(path):
    return np.load(path)["names"]
"""


def source(tmp_path: Path) -> Module:
    (tmp_path / "train_gpt.py").write_text(PROGRAM)
    return read_sources(open_folder(tmp_path))[0]


def test_a_table_of_bytes_that_a_walked_function_loads_is_found(tmp_path: Path) -> None:
    module = source(tmp_path)
    lines = [getattr(node, "lineno", 0) for node in read_tables(module, set(module.nodes(ast.FunctionDef)))]
    assert lines == [6, 7]


def test_a_function_that_the_program_never_walks_loads_nothing(tmp_path: Path) -> None:
    assert list(read_tables(source(tmp_path), set())) == []
