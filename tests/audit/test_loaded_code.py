"""What a submission runs beside its trainer: whether the files are there, and whether they take it over the cap."""

from __future__ import annotations

from pathlib import Path

from audit.case import Case
from audit.finding import Certainty, Finding, Severity
from audit.loaded_code import LoadedCode
from audit.registry import all_rules
from audit.rules.examples import EVALUATION
from reproduce.folder import open_folder

IMPORTS = EVALUATION.replace("import numpy as np\n", "import numpy as np\nimport extra\n")
LOG = """\
seed:1
Code size: {code} bytes
Serialized model int6+zstd: {model} bytes
Total submission size int6+zstd: {total} bytes
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""


def submission(folder: Path, files: dict[str, str]) -> Case:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return Case(open_folder(folder))


def log_of(trainer: str, model: int) -> str:
    return LOG.format(code=len(trainer), model=model, total=model + len(trainer))


def noise(size: int) -> str:
    """A comment-free program that does not pack: numbers of a linear congruence."""
    state, numbers = 1, []
    while sum(map(len, numbers)) + len(numbers) < size:
        state = state * 6364136223846793005 % 2**64
        numbers.append(str(state))
    return f"TABLE = [{','.join(numbers)}]\n"


def only(findings: list[Finding]) -> Finding:
    (found,) = [f for f in findings if "outside" in f.message]
    return found


def test_a_helper_that_takes_the_artifact_over_the_cap_however_it_is_packed_is_sure(tmp_path: Path) -> None:
    case = submission(
        tmp_path,
        {"train_gpt.py": IMPORTS, "extra.py": noise(60_000), "train.log": log_of(IMPORTS, 15_980_000)},
    )
    found = only(list(all_rules()["ART-CODE"].check(case)))
    assert found.certainty is Certainty.HIGH
    assert found.severity is Severity.WARNING  # merged records shipped uncounted helpers: a reader decides


def test_a_helper_that_fits_once_packed_is_less_sure(tmp_path: Path) -> None:
    helper = "VALUE = 1\n" * 6000
    case = submission(tmp_path, {"train_gpt.py": IMPORTS, "extra.py": helper, "train.log": log_of(IMPORTS, 15_980_000)})
    assert only(list(all_rules()["ART-CODE"].check(case))).certainty is Certainty.MEDIUM


def test_a_helper_in_an_artifact_with_room_left_is_a_hint(tmp_path: Path) -> None:
    case = submission(
        tmp_path, {"train_gpt.py": IMPORTS, "extra.py": "VALUE = 1\n" * 600, "train.log": log_of(IMPORTS, 9_000_000)}
    )
    assert only(list(all_rules()["ART-CODE"].check(case))).certainty is Certainty.LOW


def test_a_shim_is_told_even_where_the_log_counts_the_file_that_it_runs(tmp_path: Path) -> None:
    long = EVALUATION + "TEXT = '" + noise(60_000).strip() + "'\n"
    log = LOG.format(code=len(long), model=15_990_000, total=15_990_000 + len(long))
    shim = 'exec(open(__file__.replace("train_gpt.py", "other.py")).read())\n'
    case = submission(tmp_path, {"train_gpt.py": shim, "other.py": long, "train.log": log})
    found = only(list(all_rules()["ART-CODE"].check(case)))
    assert "other.py" in found.message
    assert found.line == 1


def test_a_file_that_is_run_but_not_in_the_folder_is_named(tmp_path: Path) -> None:
    trainer = EVALUATION.replace("import numpy as np\n", 'import numpy as np\nexec(open("extra.py").read())\n')
    (loaded,) = LoadedCode(submission(tmp_path, {"train_gpt.py": trainer})).all()
    assert (loaded.name, loaded.size) == ("extra.py", None)


def test_a_package_counts_with_the_file_that_makes_it_one(tmp_path: Path) -> None:
    trainer = EVALUATION.replace("import numpy as np\n", "import numpy as np\nfrom parts import layers\n")
    files = {"train_gpt.py": trainer, "parts/__init__.py": "A = 1\n", "parts/layers.py": "B = 1\n"}
    assert {f.name for f in LoadedCode(submission(tmp_path, files)).all()} == {"parts/__init__.py", "parts/layers.py"}


def test_a_library_of_the_system_is_no_code_of_the_submission(tmp_path: Path) -> None:
    trainer = EVALUATION.replace("import numpy as np\n", "import ctypes\n\nimport numpy as np\n").replace(
        "    sizes = torch.ones(64)\n", '    sizes = torch.ones(64)\n    clib = ctypes.CDLL("libc.so.6")\n'
    )
    assert LoadedCode(submission(tmp_path, {"train_gpt.py": trainer, "other.c": "int x;\n"})).all() == []


def test_asking_when_a_source_was_changed_is_not_measuring_it(tmp_path: Path) -> None:
    trainer = IMPORTS.replace(
        "    sizes = torch.ones(64)\n",
        '    sizes = torch.ones(64)\n    import pathlib\n    when = pathlib.Path("extra.py").stat().st_mtime\n',
    )
    code = LoadedCode(submission(tmp_path, {"train_gpt.py": trainer, "extra.py": "A = 1\n"}))
    assert not code.measures("extra.py")
    measured = trainer.replace("st_mtime", "st_size")
    assert LoadedCode(submission(tmp_path / "b", {"train_gpt.py": measured, "extra.py": "A = 1\n"})).measures(
        "extra.py"
    )
