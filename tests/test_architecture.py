"""The arrows of docs/architecture.md and the cost of imports, held by the imports themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "submission": set(),
    "reproduce": set(),
    "audit": {"reproduce"},
    "reports": {"reproduce", "audit"},
    "golfproof": {"submission", "reproduce", "audit", "reports"},
}
FILES = [path for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rooms_imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found & set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_only_along_the_arrows(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert rooms_imported(path) - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text and text.splitlines()[0].endswith((".", ":", "?")), "the first line is one sentence"


def test_auditing_imports_no_heavy_library(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("print('hello')\n", encoding="utf-8")
    for seed in (1337, 42, 7):  # logs too: a mean of seeds is part of an audit
        size = "Total submission size int8+zlib: 15000000 bytes"
        log = f"seed:{seed}\n{size}\nfinal_roundtrip_exact val_loss:2.1 val_bpb:1.2{seed}\n"
        (tmp_path / f"train_seed{seed}.log").write_text(log, encoding="utf-8")
    probe = (
        "import sys\nfrom golfproof.app import app\n"
        "try:\n    app(['audit', sys.argv[1]])\nexcept SystemExit as stop:\n    print('exit:', stop.code)\n"
        "heavy = {'torch', 'pandas', 'scipy', 'numpy', 'altair', 'huggingface_hub'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))\n"
    )
    command = [sys.executable, "-c", probe, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.splitlines()[-2:] == ["exit: 0", "heavy: []"], done.stderr
