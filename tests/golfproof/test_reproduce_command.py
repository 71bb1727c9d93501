"""``golfproof reproduce`` and ``watch`` as they are called: what they print, refuse, and end with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "reproduce"))
from fake_entry import TRAINER, expected_bpb, write_entry

from golfproof.app import app
from golfproof.commands.reproduce import is_ours
from reproduce.errors import InputError


def call(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, InputError):
        return 2, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_entry(tmp_path / "entry")


def test_trusted_entry_is_run_and_its_table_printed(entry: Path) -> None:
    code, printed = call("reproduce", entry, "--seeds", "1,2", "--trust")
    assert code == 0
    assert f"{expected_bpb(1):.4f}" in printed and "mean" in printed and "std" in printed
    assert (Path("runs") / "entry" / "2" / "run.json").is_file()


def test_strangers_entry_is_refused_where_there_is_no_sandbox(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reproduce.sandbox.refusal", lambda: "bwrap is not on the PATH")
    code, printed = call("reproduce", entry, "--seeds", "1")
    assert code == 2 and "--trust" in printed and "bwrap" in printed
    assert not Path("runs").exists()


@pytest.mark.slow
def test_strangers_entry_runs_in_the_sandbox_without_network_or_home(entry: Path) -> None:
    from reproduce.sandbox import refusal

    if (reason := refusal()) is not None:
        pytest.skip(reason)
    look = (
        "import socket\n"
        "print('sees', os.path.exists(os.environ['OUTSIDE']), [n for _, n in socket.if_nameindex()],"
        " socket.gethostbyname('localhost'))\n"
    )
    nosy = TRAINER.replace("bad = ", look + "bad = ")
    (entry / "train_gpt.py").write_text(nosy)
    code, printed = call("reproduce", entry, "--seeds", "1", "--env", f"OUTSIDE={entry}", "--out", "boxed")
    assert code == 0, printed
    assert "sees False ['lo'] 127.0.0.1" in Path("boxed/1/train.log").read_text()


def test_failed_seed_makes_the_exit_code_one(entry: Path) -> None:
    code, printed = call("reproduce", entry, "--seeds", "1,2", "--trust", "--env", "BAD=crash", "--env", "BAD_SEED=2")
    assert code == 1 and "seed 2: failed" in printed


def test_rerun_is_compared_with_a_run_directory(entry: Path) -> None:
    call("reproduce", entry, "--seeds", "1,2", "--trust", "--out", "first")
    code, printed = call("reproduce", entry, "--seeds", "1,2", "--trust", "--out", "second", "--against", "first")
    assert code == 0 and "reproduced" in printed


def test_determinism_of_an_entry_is_told(entry: Path) -> None:
    code, printed = call("reproduce", entry, "--seeds", "1", "--trust", "--determinism")
    assert code == 0 and "agree" in printed


def test_determinism_leaves_the_folder_of_the_ordinary_run_alone(entry: Path) -> None:
    call("reproduce", entry, "--seeds", "1", "--trust", "--determinism")
    code, _ = call("reproduce", entry, "--seeds", "1", "--trust")
    assert code == 0 and sorted(path.name for path in Path("runs").iterdir()) == ["entry", "entry-determinism"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--against", "entry"), "claimed scores or logs"),
        (("--against", "nowhere"), "nowhere"),
        (("--export", "tables", "--export-format", "xls"), "csv or parquet"),
        (("--command", "nosuchprogram train_gpt.py"), "a program on the PATH"),
        (("--command", "python nosuch.py"), "nosuch.py"),
    ],
)
def test_what_would_be_missing_in_the_end_is_told_before_anything_runs(
    entry: Path, words: tuple[str, ...], named: str
) -> None:
    code, printed = call("reproduce", entry, "--seeds", "1", "--trust", *words)
    assert code == 2 and named in printed
    assert not Path("runs").exists()


def test_a_failed_seed_is_told_with_its_log_and_the_run_directory_is_named(entry: Path) -> None:
    _, printed = call("reproduce", entry, "--seeds", "1,2", "--trust", "--env", "BAD=crash", "--env", "BAD_SEED=2")
    said = "".join(printed.split())
    assert "(log:runs/entry/2/train.log)" in said and "rundirectory:runs/entry" in said


def test_tables_are_exported(entry: Path) -> None:
    code, _ = call("reproduce", entry, "--seeds", "1", "--trust", "--export", "tables")
    assert code == 0 and sorted(path.name for path in Path("tables").iterdir()) == [
        "runs.csv",
        "stages.csv",
        "steps.csv",
        "summary.csv",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--seeds", ""),
        ("--seeds", "1,x"),
        ("--seeds", "-1"),
        ("--env", "NOVALUE"),
        ("--sandbox", "--trust"),
        ("--command", "python a.py | tee b"),
        ("--data", "nowhere"),
        ("--executor", "slurm"),
    ],
)
def test_unusable_options_are_one_line_and_begin_nothing(entry: Path, words: tuple[str, ...]) -> None:
    options = words if "--trust" in words else (*words, "--trust")
    code, printed = call("reproduce", entry, *options)
    assert code == 2 and "expected" in printed and len(printed.splitlines()) == 1
    assert not Path("runs").exists()


def test_folder_that_is_not_there_is_unusable_input(entry: Path) -> None:
    assert call("reproduce", "nowhere", "--trust")[0] == 2


def test_our_own_trainer_needs_no_trust() -> None:
    import submission

    ours = Path(submission.__file__).parent
    assert is_ours(ours) and is_ours(ours / "train_gpt.py") and not is_ours(ours.parent)


def test_watch_shows_a_run_once_when_piped(entry: Path) -> None:
    call("reproduce", entry, "--seeds", "1", "--trust")
    code, printed = call("watch", "runs/entry")
    assert code == 0 and "finished" in printed and "train loss by step" in printed
