"""Unusable input: one line that names the file and what was expected, exit code 2, nothing overwritten."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from golfproof.app import main

TRAINER = "import os\nprint('seed', os.environ.get('SEED', '1337'))\n"
LOG = "seed:1337\nstep:1/2 train_loss:6.9 train_time:10ms\nfinal_roundtrip_exact val_loss:2.0 val_bpb:1.2\n"


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["golfproof", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def missing_folder(tmp_path: Path) -> Path:
    return tmp_path / "nowhere"


def empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def binary_trainer(tmp_path: Path) -> Path:
    (tmp_path / "train_gpt.py").write_bytes(b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 8)
    return tmp_path


def metadata_that_is_not_json(tmp_path: Path) -> Path:
    (tmp_path / "train_gpt.py").write_text(TRAINER, encoding="utf-8")
    (tmp_path / "submission.json").write_text('{"val_bpb": 1.2,', encoding="utf-8")
    return tmp_path


def log_cut_in_the_middle(tmp_path: Path) -> Path:
    (tmp_path / "train_gpt.py").write_text(TRAINER, encoding="utf-8")
    (tmp_path / "train_seed1337.log").write_text(LOG[: LOG.index("final_") + 30], encoding="utf-8")
    return tmp_path


AUDITED = [missing_folder, empty_folder, binary_trainer]
GATED = [*AUDITED, metadata_that_is_not_json]


@pytest.mark.parametrize(
    ("command", "options", "make"),
    [("audit", [], make) for make in AUDITED]
    + [("gate", [], make) for make in GATED]
    + [("reproduce", ["--from-logs"], make) for make in [missing_folder, empty_folder, log_cut_in_the_middle]],
)
def test_unusable_input_is_one_line_and_exit_2(command, options, make, tmp_path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    target = make(tmp_path)
    before = snapshot(tmp_path)
    code, _, err = run(capsys, monkeypatch, command, str(target), *options)
    assert code == 2, err
    assert len(err.strip().splitlines()) == 1, err
    assert str(tmp_path) in err, "names the file"
    assert "expected" in err, "says what was expected"
    assert snapshot(tmp_path) == before


def test_a_truncated_shard_is_one_line_and_exit_2(tmp_path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    shard = tmp_path / "fineweb_val_000000.bin"
    shard.write_bytes(struct.pack("<256i", 20240520, 1, 1000, *[0] * 253) + b"\x01\x00" * 10)
    code, _, err = run(capsys, monkeypatch, "data", "check", str(shard))
    assert code == 2, err
    assert len(err.strip().splitlines()) == 1, err
    assert "fineweb_val_000000.bin" in err
    assert "expected" in err
    assert shard.stat().st_size == 1024 + 20


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from golfproof.app import main; main()"


def without_torch(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True)


def test_a_command_that_needs_pytorch_says_so_in_one_line() -> None:
    done = without_torch("describe", "--preset", "tiny")
    assert done.returncode == 2
    assert "golfproof[train]" in done.stderr and done.stderr.count("\n") == 1


def test_an_audit_needs_no_pytorch(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text(TRAINER)
    assert without_torch("audit", str(tmp_path)).returncode == 0
