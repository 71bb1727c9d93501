"""Packed scripts come apart as Python would take them apart, and nothing of them runs."""

# ruff: noqa: E501
from __future__ import annotations

import ast
import base64
import bz2
import codecs
import gzip
import lzma
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.unpack import unpack, write_unpacked
from reproduce.errors import InputError

PROGRAM = "import os\nSEED = int(os.environ.get('SEED', '1'))\n\n\ndef main():\n    return SEED\n\n\nmain()\n"
RAW = [{"id": lzma.FILTER_LZMA2, "preset": 9}]


def b85(data: bytes) -> str:
    return base64.b85encode(data).decode()


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


BODY = PROGRAM.encode()
SCRIPTS = {
    "lzma xz": f"import lzma as L,base64 as B\nexec(L.decompress(B.b85decode({b85(lzma.compress(BODY))!r})))\n",
    "lzma raw": "import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("
    f'"{b85(lzma.compress(BODY, format=lzma.FORMAT_RAW, filters=RAW))}"'
    '),format=L.FORMAT_RAW,filters=[{"id":L.FILTER_LZMA2,"preset":9|L.PRESET_EXTREME}]))\n',
    "lzma alone": "import lzma, base64\nd = lzma.LZMADecompressor(lzma.FORMAT_ALONE)\n"
    f"exec(d.decompress(base64.b64decode({base64.b64encode(lzma.compress(BODY, format=lzma.FORMAT_ALONE))!r})))\n",
    "zlib": f"from zlib import decompress as d\nfrom base64 import b64decode as b\nexec(d(b({base64.b64encode(zlib.compress(BODY))!r})).decode())\n",
    "raw deflate": f"import zlib, base64\nexec(zlib.decompress(base64.a85decode({base64.a85encode(deflate(BODY))!r}), -15))\n",
    "deflate object": f"import zlib\nexec(zlib.decompressobj(wbits=-15).decompress(bytes.fromhex({deflate(BODY).hex()!r})))\n",
    "gzip": f"import gzip, binascii\nexec(gzip.decompress(binascii.unhexlify({gzip.compress(BODY).hex()!r})))\n",
    "gzip file": f"import gzip, io, base64\nexec(gzip.GzipFile(fileobj=io.BytesIO(base64.b32decode({base64.b32encode(gzip.compress(BODY))!r}))).read())\n",
    "bz2": f"import bz2, base64\nexec(bz2.decompress(base64.b85decode({b85(bz2.compress(BODY))!r})))\n",
    "brotli": f"import brotli as B,base64 as b\nexec(B.decompress(b.b85decode({b85(brotli.compress(BODY))!r})))\n",
    "zstd": f"import zstandard, base64\nexec(zstandard.ZstdDecompressor().decompress(base64.b85decode({b85(zstandard.compress(BODY))!r})))\n",
    "codecs": f"import codecs\nexec(codecs.decode(codecs.decode({zlib.compress(BODY).hex()!r}, 'hex'), 'zlib'))\n",
    "rot13": f"import codecs\nexec(codecs.decode({codecs.encode(PROGRAM, 'rot13')!r}, 'rot13'))\n",
    "names": f"import zlib\nA = {zlib.compress(BODY)[:20]!r}\nB = {zlib.compress(BODY)[20:]!r}\nexec(zlib.decompress(A + B))\n",
    "joined": f"import zlib\nparts = {[zlib.compress(BODY)[i : i + 9] for i in range(0, 999, 9)]!r}\nexec(zlib.decompress(b''.join(parts)))\n",
    "reversed": f"exec({PROGRAM[::-1]!r}[::-1])\n",
    "exclusive or": f"exec(bytes(b ^ 7 for b in {bytes(b ^ 7 for b in BODY)!r}).decode())\n",
    "numbers": f"exec(''.join(map(chr, {list(BODY)!r})))\n",
    "lambda": f"import zlib\nf = lambda x, y=3: zlib.decompress(x)\nexec(f({zlib.compress(BODY)!r}))\n",
    "function": f"import zlib\ndef load(data):\n    out = zlib.decompress(data)\n    return out.decode()\n\nexec(load({zlib.compress(BODY)!r}))\n",
    "main guard": f"def run():\n    exec({PROGRAM!r})\n\nif __name__ == '__main__':\n    run()\n",
    "getattr": f"import zlib\ngetattr(__builtins__, 'ex' + 'ec')(getattr(zlib, 'decom' 'press')({zlib.compress(BODY)!r}))\n",
    "__import__": f"exec(__import__('zlib').decompress({zlib.compress(BODY)!r}))\n",
    "importlib": f"import importlib\nexec(importlib.import_module('zlib').decompress({zlib.compress(BODY)!r}))\n",
    "compile": f"import zlib\nexec(compile(zlib.decompress({zlib.compress(BODY)!r}), __file__, 'exec'), {{}})\n",
    "linecache": "import zlib, linecache as C\n"
    f"S = zlib.decompress({zlib.compress(BODY)!r}).decode()\nF = __file__ + '.x.py'\n"
    "C.cache[F] = (len(S), None, S.splitlines(True), F)\nexec(compile(S, F, 'exec'))\n",
    "temporary file": "import os, tempfile, runpy, zlib\n"
    f"d = tempfile.mkdtemp()\np = os.path.join(d, 'a.py')\nopen(p, 'wb').write(zlib.decompress({zlib.compress(BODY)!r}))\n"
    "runpy.run_path(p, run_name='__main__')\n",
    "pathlib": f"from pathlib import Path\nimport runpy\np = Path('/tmp') / 'a.py'\np.write_text({PROGRAM!r})\nrunpy.run_path(str(p))\n",
    "module file": "import importlib.util as U\n"
    f"with open('/tmp/m.py', 'w') as f:\n    f.write({PROGRAM!r})\n"
    "s = U.spec_from_file_location('__main__', '/tmp/m.py')\nm = U.module_from_spec(s)\ns.loader.exec_module(m)\n",
    "subprocess": "import subprocess, sys\n"
    f"with open('/tmp/m.py', 'w') as f:\n    f.write({PROGRAM!r})\nsubprocess.run([sys.executable, '/tmp/m.py'])\n",
    "try": "try:\n    import zstd\nexcept ImportError:\n    pass\nimport zlib\n"
    f"try:\n    code = zlib.decompress({zlib.compress(BODY)!r})\nfinally:\n    pass\nexec(code)\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_packed_program_comes_out(kind):
    found = unpack(SCRIPTS[kind].encode(), "train_gpt.py")
    assert found.text == PROGRAM, found.unresolved
    assert found.packed and found.unresolved == ()
    ast.parse(found.text)


def test_layers_and_their_codecs_are_told():
    inner = SCRIPTS["brotli"]
    outer = f"import lzma, base64\nexec(lzma.decompress(base64.b85decode({b85(lzma.compress(inner.encode()))!r})))\n"
    found = unpack(outer.encode(), "train_gpt.py")
    assert found.text == PROGRAM
    assert [layer.codecs for layer in found.layers] == [(), ("base85", "xz"), ("base85", "brotli")] or [
        layer.codecs for layer in found.layers
    ] == [(), ("base85", "lzma"), ("base85", "brotli")]
    assert found.wrappers == (0, 1) and found.file_line(5) == 2


def test_several_pieces_run_in_a_row_are_one_program_with_a_line_map():
    script = "exec('def a():\\n    return 1\\n')\n\nexec('def b():\\n    return 2\\n')\n"
    found = unpack(script.encode(), "train_gpt.py")
    assert found.text == "def a():\n    return 1\ndef b():\n    return 2\n"
    assert [found.file_line(line) for line in (1, 2, 3, 4)] == [1, 1, 3, 3]
    layer, line = found.origin(4)
    assert layer.text.startswith("def b") and line == 2


def test_a_small_text_run_beside_a_whole_program_stays_beside_it():
    script = PROGRAM + "exec('x = 1\\ny = 2\\n')\n"
    found = unpack(script.encode(), "train_gpt.py")
    assert found.text == script and not found.packed
    assert [found.layers[index].text for index in found.extra] == ["x = 1\ny = 2\n"]


def test_a_plain_script_is_itself():
    found = unpack(PROGRAM.encode(), "train_gpt.py")
    assert found.text == PROGRAM and not found.packed and found.file_line(3) == 3


def test_a_neighbour_is_read_where_the_script_runs_it():
    script = b'exec(open(__file__.replace("train_gpt.py", "train_gpt_decode.py")).read())\n'
    found = unpack(script, "train_gpt.py", {"train_gpt_decode.py": BODY}.get)
    assert found.text == PROGRAM


def test_a_file_that_is_looked_for_first_is_found():
    script = b"from pathlib import Path\nimport runpy\np = Path(__file__).parent / 'a.py'\nif not p.exists():\n    p = Path('/b.py')\nrunpy.run_path(p)\n"
    assert unpack(script, "train_gpt.py", {"a.py": BODY}.get).text == PROGRAM


def test_python_files_that_a_script_writes_are_kept_with_their_folders():
    script = f"import os, sys\nd = '/tmp/x'\nfor n, c in zip(['a.py', 'b/c.py'], [{PROGRAM!r}, 'y = 1']):\n    with open(os.path.join(d, n), 'w') as f:\n        f.write(c)\nexec(open('/tmp/x/a.py').read())\n"
    found = unpack(script.encode(), "train_gpt.py")
    assert found.text == PROGRAM and found.files == (("x/b/c.py", "y = 1"),)


def test_a_script_that_runs_itself_ends():
    script = PROGRAM + "exec(open(__file__).read())\n"
    assert unpack(script.encode(), "train_gpt.py").text == script


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys\nexec(sys.argv[1])\n", "exec of"),
        ("import urllib.request as u\nexec(u.urlopen('x').read())\n", "exec of"),
        ("import marshal\nexec(marshal.loads(b'x'))\n", "compiled or pickled code"),
        ("import zlib\nexec(zlib.decompress(b'broken'))\n", "exec of error"),
        ("exec('def broken(:')\n", "text that is not Python"),
        ("import runpy\nrunpy.run_path('absent.py')\n", "not there"),
        ("exec(open('/etc/passwd').read())\n", "outside the folder"),
        (
            "import runpy\nfrom pathlib import Path\nrunpy.run_path(str(Path(__file__).resolve().parents[3] / 'x.py'))\n",
            "../../../x.py, outside",
        ),
    ],
)
def test_what_cannot_be_unpacked_says_why(script, reason):
    found = unpack(script.encode(), "train_gpt.py")
    ((layer, line, why),) = found.unresolved
    assert layer == 0 and line == script.count("\n") and reason in why


BOMBS = {
    "zlib": f"import zlib\nexec(zlib.decompress({zlib.compress(bytes(60 << 20), 9)!r}))\n",
    "bz2": f"import bz2\nexec(bz2.decompress({bz2.compress(bytes(60 << 20), 9)!r}))\n",
    "lzma": f"import lzma\nexec(lzma.decompress({lzma.compress(bytes(60 << 20), preset=0)!r}))\n",
    "brotli": f"import brotli\nexec(brotli.decompress({brotli.compress(bytes(60 << 20), quality=1)!r}))\n",
    "zstd": f"import zstandard\nexec(zstandard.decompress({zstandard.compress(bytes(60 << 20), 1)!r}))\n",
    "repetition": "exec('x' * 10**9)\n",
    "doubling": "a = 'x' * 1000\n" + "a = a + a\n" * 40 + "exec(a)\n",
    "join": "exec(('x' * 100000).join(['y'] * 100000))\n",
    "replace": "a = 'x' * 100000\nexec(a.replace('x', a))\n",
    "nested lists": "l = [1]\n" + "l = [l, l]\n" * 60 + "exec(l == l)\n",
    "power": "exec(str(9 ** 9 ** 9))\n",
    "loop": "while True:\n    pass\nexec('x = 1')\n",
    "own maker": "".join(f"def f{i}():\n    return f{i + 1}() + f{i + 1}()\n" for i in range(40)) + "def f40():\n    return 'x'\nexec(f0())\n",
    "buffer": "exec(bytes(10**10))\n",
    "big integer": "exec((1).to_bytes(10**10, 'big'))\n",
    "self-made list": "l = []\nl.append(l)\nexec(l)\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_a_reason_and_not_a_hang(kind):
    assert unpack(BOMBS[kind].encode(), "train_gpt.py").unresolved


def test_a_quine_of_layers_ends():
    script = "s = 's = %r\\nexec(s %% s)\\n'\nexec(s.replace('%r', repr(s)))\n"
    assert unpack(script.encode(), "train_gpt.py").layers


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "ran"
    script = f"import pathlib\npathlib.Path({str(target)!r}).write_text('x')\nexec(\"open({str(target)!r}, 'w').write('x')\")\n"
    unpack(script.encode(), "train_gpt.py")
    assert not target.exists()


class _Saved:
    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text


def test_unpacked_sources_are_saved_and_never_overwrite(tmp_path):
    (path,) = write_unpacked([_Saved("train_gpt.py", PROGRAM)], tmp_path / "out")
    assert path.read_text() == PROGRAM
    assert write_unpacked([_Saved("train_gpt.py", PROGRAM)], tmp_path / "out") == (path,)
    with pytest.raises(InputError, match="there already"):
        write_unpacked([_Saved("train_gpt.py", "other = 1\n")], tmp_path / "out")
    assert path.read_text() == PROGRAM


def test_a_name_with_dots_stays_inside_the_directory(tmp_path):
    (path,) = write_unpacked([_Saved("../../evil.py", PROGRAM)], tmp_path / "out")
    assert path == tmp_path / "out" / "evil.py"


packers = st.sampled_from(
    [
        ("zlib", zlib.compress, "zlib.decompress({})"),
        ("bz2", bz2.compress, "bz2.decompress({})"),
        ("lzma", lzma.compress, "lzma.decompress({})"),
        ("gzip", gzip.compress, "gzip.decompress({})"),
        ("base85", base64.b85encode, "base64.b85decode({})"),
        ("hex", bytes.hex, "binascii.unhexlify({})"),
        ("reverse", lambda data: data[::-1], "({})[::-1]"),
    ]
)


@settings(deadline=None)
@given(
    st.lists(packers, min_size=1, max_size=5),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=80),
)
def test_any_stack_of_packers_comes_apart(stack, comment):
    program = "def f():\n    return " + repr(comment) + "\n"
    data, expression = program.encode(), "{}"
    layers = []
    for _, pack, take in stack:
        data = pack(data if isinstance(data, bytes) else data.encode())
        layers.append(take)
    expression = repr(data)
    for take in reversed(layers):
        expression = take.replace("{}", expression)
    script = f"import zlib, bz2, lzma, gzip, base64, binascii\nexec({expression})\n"
    assert unpack(script.encode(), "t.py").text == program


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_give_an_error_or_a_text(data):
    try:
        unpack(data, "train_gpt.py")
    except InputError as error:
        assert "\n" not in str(error)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "exec(",
                "open(",
                "a",
                "b''",
                ")",
                "=",
                "[",
                "]",
                ".",
                "join",
                "*",
                "9",
                "\n",
                " ",
                "lambda:",
                "for",
                "in",
                ",",
            ]
        ),
        max_size=40,
    )
)
def test_any_tokens_are_survived(tokens):
    try:
        unpack("".join(tokens).encode(), "train_gpt.py")
    except InputError as error:
        assert "Python source" in str(error)


def test_the_words_of_a_message_make_no_program_one_that_runs_text() -> None:
    loop = "n = 0\nwhile n < 10 ** 9:\n    n = n + 1\n"
    assert not unpack(loop + 'print(f"bound by eval (8 steps)")\n', "train_gpt.py").unresolved
    assert unpack(loop + "exec (print_it)\n", "train_gpt.py").unresolved
