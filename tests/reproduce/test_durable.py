"""A file is replaced as a whole or not at all, and a working copy holds what was hashed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fake_entry import write_entry

from reproduce.durable import read_json, write_bytes, write_json
from reproduce.errors import InputError
from reproduce.machine import REDACTED, redact, without_secrets
from reproduce.workcopy import input_files, make_copy, new_files


def full_disk(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_leaves_the_old_content_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "run.json", {"a": 1})
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_json(tmp_path / "run.json", {"a": 2})
    assert read_json(tmp_path / "run.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_content_is_replaced(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"long old content")
    write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_what_is_no_json_object_is_unusable_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        read_json(tmp_path / "run.json")


def test_copy_leaves_out_links_that_leave_the_folder(tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    (tmp_path / "secret").write_text("not theirs")
    (entry / "stolen").symlink_to(tmp_path / "secret")
    assert [file.path for file in input_files(entry, tmp_path / "run")] == ["README.md", "train_gpt.py"]


def test_run_directory_inside_the_entry_is_no_input(tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    (entry / "out").mkdir()
    (entry / "out" / "old.log").write_text("")
    assert "out/old.log" not in [file.path for file in input_files(entry, entry / "out")]


def test_file_that_changed_since_it_was_hashed_is_refused(tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    files = input_files(entry, tmp_path / "run")
    (entry / "train_gpt.py").write_text("other")
    with pytest.raises(InputError, match=r"train_gpt\.py"):
        make_copy(entry, files, tmp_path / "copy")


def test_new_and_changed_files_of_a_run_are_found(tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    files = input_files(entry, tmp_path / "run")
    make_copy(entry, files, tmp_path / "copy")
    (tmp_path / "copy" / "model.bin").write_bytes(b"x")
    (tmp_path / "copy" / "README.md").write_text("changed")
    (tmp_path / "copy" / "link").symlink_to("/etc/passwd")
    assert [path.name for path in new_files(tmp_path / "copy", files)] == ["README.md", "model.bin"]


SECRETS = {"HF_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "y", "WANDB_API_KEY": "z", "NAME": "hf_abcdefghijklmnop"}
ORDINARY = {
    "TOKENIZER_PATH": "/data/t.model",
    "TRAIN_BATCH_TOKENS": "524288",
    "NUM_KV_HEADS": "4",
    "KEY": "12",
    "SEED": "1",
    "TTT_CHUNK_TOKENS": "32768",
}


def test_credentials_are_redacted_and_settings_are_not() -> None:
    shown = redact({**SECRETS, **ORDINARY})
    assert {name: shown[name] for name in SECRETS} == dict.fromkeys(SECRETS, REDACTED)
    assert {name: shown[name] for name in ORDINARY} == ORDINARY


def test_credentials_are_withheld_from_the_trainer() -> None:
    assert without_secrets({**SECRETS, **ORDINARY}) == ORDINARY


def test_login_in_an_address_is_cut_out() -> None:
    assert redact({"PROXY": "http://me:pw@host:80/"}) == {"PROXY": "http://host:80/"}
