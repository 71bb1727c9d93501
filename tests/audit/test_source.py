"""Any version's Python is read with its own lines; what would crash a parser is refused in one line."""

from __future__ import annotations

import ast
import lzma
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.parse import MAX_SOURCE_BYTES, ParseError, decode_source, parse_source
from audit.source import Module, read_module, read_sources
from audit.tree import walk
from reproduce.errors import InputError
from reproduce.folder import open_folder

TRAINER = "import torch\noptimizer = torch.optim.SGD([], lr=0.1)\n"

NEWER = {
    "quotes of an f-string inside it": ('x = 1\ny = f"{a["key"]}"\nz = 3\n', "f\"{a['key']}\""),
    "a backslash inside an f-string": ('y = f"{"\\n".join(a)}"\nz = 3\n', None),
    "an f-string of several lines": ('y = f"{\n    a[\n        "key"\n    ]}"\nz = 3\n', None),
    "a comment inside an f-string": ('y = f"""{\n    a["k"]  # why\n}"""\nz = 3\n', None),
    "an f-string beside plain strings": ('y = ("a" f"{b["c"]}" "d")\nz = 3\n', None),
    "an f-string in an f-string": ('y = f"{f"{f"{a["b"]}"}"}"\nz = 3\n', None),
    "type parameters": ("def f[T: int, *Ts, **P](x: T) -> T:\n    return x\n", None),
    "type parameters over lines": ("def f[\n    T,\n](x: T) -> T:\n    return x\n", None),
    "a generic class": ("class A[T]:\n    x: T\n\n\nz = 3\n", None),
    "a type alias": ("type Pair[T] = tuple[T, T]\nz = 3\n", None),
    "except without parentheses": ("try:\n    z = 3\nexcept A, B:\n    pass\n", None),
    "a template string": ('y = t"{a}"\nz = 3\n', None),
}


@pytest.mark.parametrize("kind", NEWER)
def test_newer_grammar_is_parsed_with_its_own_lines(kind):
    text, _ = NEWER[kind]
    tree = parse_source(text, "train_gpt.py")
    last = text.rstrip("\n").count("\n") + 1
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    assert last in lines and max(lines) == last
    compile(tree, "train_gpt.py", "exec")


def test_an_f_string_of_newer_grammar_keeps_its_parts():
    (statement,) = parse_source('y = f"a{b["c"]!r:>{w}}{{d}}{e=}\\t"\n', "t.py").body
    assert isinstance(statement, ast.Assign)
    assert ast.unparse(statement.value) == ast.unparse(ast.parse("f'a{b[\"c\"]!r:>{w}}{{d}}e={e!r}\\t'", mode="eval"))


def test_expressions_of_an_f_string_stand_on_their_line():
    tree = parse_source('x = 1\ny = f"""\n{\nfirst["k"]}\n{second}"""\nz = 2\n', "t.py")
    assert {node.id: node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name)}["first"] == 4


@pytest.mark.parametrize(
    ("text", "line"),
    [("x = 1\nprint 'two'\n", 2), ("x = 0777\n", 1), ("def f():\nreturn 1\n", 2), ("x = 'open\n", 1), ("a\n  b\n", 2)],
)
def test_what_is_no_python_is_refused_with_its_line(text, line):
    with pytest.raises(ParseError) as caught:
        parse_source(text, "train_gpt.py")
    assert caught.value.line == line and "\n" not in str(caught.value) and "expected Python source" in str(caught.value)


DEEP = {
    "parentheses": "x = " + "(" * 100_000 + ")" * 100_000,
    "open parentheses": "x = " + "(" * 100_000,
    "brackets of every kind": "x = " + "([{" * 5_000 + "}])" * 5_000,
    "nested beside strings": "s = '((('\nx = " + "(" * 300 + ")" * 300,
    "minus": "x = " + "-" * 100_000 + "1",
    "not": "x = " + "not " * 100_000 + "y",
    "lambda": "x = " + "lambda: " * 100_000 + "1",
    "addition": "x = " + "1 + " * 100_000 + "1",
    "power": "x = " + "2 ** " * 100_000 + "2",
    "attributes": "x = a" + ".b" * 100_000,
    "calls": "x = a" + "()" * 100_000,
    "subscripts": "x = a" + "[0]" * 100_000,
    "conditions": "x = " + "1 if y else " * 100_000 + "2",
    "branches": "if a:\n  pass\n" + "elif b:\n  pass\n" * 50_000,
    "indents": "".join(" " * i + "if a:\n" for i in range(2_000)) + " " * 2_000 + "pass\n",
    "strings in strings": 'x = f"' + '{f"' * 500 + '"}' * 500 + '"',
    "newer grammar and parentheses": 'y = f"{a["k"]}"\nx = ' + "(" * 5_000 + ")" * 5_000,
    "newer grammar and minus": 'y = f"{a["k"]}"\nx = ' + "-" * 5_000 + "1",
    "newer grammar and branches": 'y = f"{a["k"]}"\nif a:\n  pass\n' + "elif b:\n  pass\n" * 5_000,
    "newer grammar and addition": 'y = f"{a["k"]}"\nx = ' + "1 + " * 50_000 + "1",
    "a long number": "x = " + "9" * 10_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_hostile_nesting_is_one_line_and_no_crash(kind):
    with pytest.raises(ParseError) as caught:
        parse_source(DEEP[kind], "train_gpt.py")
    assert "\n" not in str(caught.value)


def test_a_file_of_fifty_megabytes_is_refused(tmp_path):
    path = tmp_path / "train_gpt.py"
    path.write_bytes(b"x = '" + b"a" * (50 << 20) + b"'\n")
    with pytest.raises(InputError, match="at most 8 MiB"):
        read_sources(open_folder(tmp_path))


def test_a_line_of_four_megabytes_is_parsed():
    assert len(parse_source("x = '" + "(" * (4 << 20) + "'\n", "t.py").body) == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfx = 1\r\ny = 2\r", "x = 1\ny = 2\n"),
        ("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), "# -*- coding: latin-1 -*-\nx = 'é'\n"),
        ("x = 'é'\n".encode("utf-16"), "x = 'é'\n"),
        ("x = 'é'\n".encode(), "x = 'é'\n"),
    ],
)
def test_source_is_decoded_as_python_decodes_it(data, text):
    assert decode_source(data, "t.py") == text


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x7fELF\0\0\0", "binary data: a NUL byte at line 1"),
        (b"x = 1\ny = '\xe9'\n", "not utf-8 at line 2"),
        (b"# coding: klingon\nx = 1\n", "unknown encoding"),
        (b"x" * (MAX_SOURCE_BYTES + 1), "bytes"),
    ],
)
def test_bytes_that_are_no_source_are_one_line(data, found):
    with pytest.raises(ParseError, match=found):
        decode_source(data, "train_gpt.py")


def submission(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/")
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_folder(tmp_path)


def test_the_trainer_comes_first_and_its_modules_follow(tmp_path):
    folder = submission(
        tmp_path,
        train_gpt="import torch\nfrom ngram import Cache\nimport pack.deep as d\noptimizer = 1\n",
        ngram="from table import rows\nclass Cache: pass\n",
        table="rows = 1\n",
        pack__deep="x = 1\n",
        plot="unused = 1\n",
    )
    modules = read_sources(folder)
    assert [(module.file, module.role) for module in modules] == [
        ("train_gpt.py", "trainer"),
        ("ngram.py", "imported"),
        ("pack/deep.py", "imported"),
        ("table.py", "imported"),
    ]


def test_a_module_loaded_by_its_file_name_is_found(tmp_path):
    text = (
        "import torch\noptimizer = 1\nimport importlib.util as u\nspec = u.spec_from_file_location('m', 'mixer.py')\n"
    )
    folder = submission(tmp_path, train_gpt=text, mixer="x = 1\n")
    assert [module.file for module in read_sources(folder)] == ["train_gpt.py", "mixer.py"]


def test_a_packed_trainer_counts_lines_in_the_unpacked_text(tmp_path):
    program = TRAINER + "\n\ndef main():\n    return 1\n"
    packed = lzma.compress(program.encode())
    script = f"import os, lzma\nos.environ.setdefault('A', '2')\nexec(lzma.decompress({packed!r}))\n"
    (module,) = read_sources(submission(tmp_path, train_gpt=script))
    assert module.packed and module.text == program and module.excerpt(6) == "return 1"
    assert module.file_line(6) == 3
    ((name, wrapper),) = module.wrappers
    assert name == "train_gpt.py" and "setdefault" in ast.unparse(wrapper)


def test_a_helper_that_is_no_python_does_not_stop_the_trainer(tmp_path):
    folder = submission(tmp_path, train_gpt=TRAINER + "import broken\n", broken="def (:\n")
    trainer, broken = read_sources(folder)
    assert trainer.role == "trainer" and broken.tree.body == [] and "line 1" in broken.problem


@pytest.mark.parametrize("content", [b"\x7fELF\0\1\2optimizer", b"optimizer = (\n", b""])
def test_a_trainer_that_is_no_python_is_one_line(tmp_path, content):
    (tmp_path / "submission.json").write_text("{}")
    (tmp_path / "train_gpt.py").write_bytes(content)
    with pytest.raises(InputError, match=r"train_gpt\.py: expected Python source, found") as caught:
        read_sources(open_folder(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_trainer_is_one_line(tmp_path):
    (tmp_path / "submission.json").write_text("{}")
    with pytest.raises(InputError, match="a submission with a trainer, found no Python file"):
        read_sources(open_folder(tmp_path))


def test_modules_that_import_each_other_end(tmp_path):
    folder = submission(tmp_path, train_gpt=TRAINER + "import a\n", a="import b\n", b="import a\nimport train_gpt\n")
    assert [module.file for module in read_sources(folder)] == ["train_gpt.py", "a.py", "b.py"]


def test_any_file_can_be_read_by_itself(tmp_path):
    folder = submission(tmp_path, train_gpt=TRAINER, other="x = 1\n")
    assert read_module(folder, tmp_path / "other.py").role == "beside"


@settings(deadline=None)
@given(st.text(alphabet="abc=()[]{}'\"\\\n\t #:,.+-*f1@lambda notifelsdr", max_size=200))
def test_no_text_breaks_the_parser(text):
    try:
        parse_source(text, "t.py")
    except ParseError as error:
        assert "\n" not in str(error)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(data):
    try:
        assert "\r" not in decode_source(data, "t.py")
    except ParseError as error:
        assert "\n" not in str(error)


def test_nodes_of_a_kind_come_in_the_order_of_the_standard_librarys_walk() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    module = Module("train_gpt.py", text, ast.parse(text))
    contexts = ast.expr_context
    assert walk(module.tree) == [node for node in ast.walk(module.tree) if not isinstance(node, contexts)]
    assert module.nodes(ast.Call) == [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    assert module.nodes(ast.AsyncFor) == []
