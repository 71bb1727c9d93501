"""The bytes of an entry: its code, its code as one packed file, its artifact, and the limit."""

import subprocess
import sys
from pathlib import Path

import pytest

from submission.accounting import ROOT, TOOLS, Size, code_files, measure, require_fit
from submission.errors import InputError


def test_the_code_is_every_source_and_preset_of_a_run(tmp_path):
    (tmp_path / "bundle").mkdir()
    files = {
        "__init__.py": "",
        "train_gpt.py": "x = 1\n",
        "a.toml": "b = 2\n",
        "notes.md": "no",
        "bundle/m.py": "y = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert [path.name for path in code_files(tmp_path)] == ["__init__.py", "a.toml", "train_gpt.py"]
    assert measure(100, tmp_path).total == 6 + 6 + 100


def test_of_a_bundle_only_its_one_file_counts(tmp_path):
    (tmp_path / "train_gpt.py").write_text("x = 1\n")
    (tmp_path / "other.py").write_text("y = 1\n")
    assert [path.name for path in code_files(tmp_path)] == ["train_gpt.py"]


def test_no_phase_of_a_run_imports_what_is_not_counted():
    modules = [f"submission.{name.removesuffix('.py')}" for name in TOOLS]
    code = f"import sys, submission.phases, submission.places; sys.exit(any(m in sys.modules for m in {modules!r}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=False).returncode == 0


def test_an_entry_at_the_limit_fits_and_one_byte_more_does_not():
    require_fit(Size(10, 5, 90), 100, Path("a"))
    with pytest.raises(InputError, match="at most 99 bytes, found 10 \\+ 90 = 100"):
        require_fit(Size(10, 5, 90), 99, Path("a"))
