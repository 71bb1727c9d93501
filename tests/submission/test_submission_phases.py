"""Whose folder it is: an earlier run's results are neither taken for this run's nor overwritten unasked."""

import dataclasses

import pytest
import torch

from submission.config import Config
from submission.distributed import World
from submission.errors import InputError
from submission.phases import ARTIFACT, CHECKPOINT, LOG, ORIGIN, RESULTS, claim_folder

ALONE = World(0, 1, torch.device("cpu"))
DATA = "fineweb_train_000000.bin:5000"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def used(tmp_path):
    """A folder in which a run has ended."""
    claim_folder(tmp_path, Config(), DATA, ALONE)
    for name in (ARTIFACT, RESULTS, LOG):
        (tmp_path / name).write_text("mine")
    return tmp_path


def test_the_same_run_finds_everything_as_it_was(used):
    before = contents(used)
    claim_folder(used, dataclasses.replace(Config(), train_log_every=7), DATA, ALONE)
    assert contents(used) == before


@pytest.mark.parametrize(
    ("config", "data", "found"),
    [
        (dataclasses.replace(Config(), matrix_lr=0.5), DATA, "one with other settings"),
        (dataclasses.replace(Config(), seed=7), DATA, "one with other settings"),
        (Config(), "fineweb_train_000000.bin:7000", "one with other data"),
    ],
)
def test_the_folder_of_another_run_is_left_alone(used, config, data, found):
    before = contents(used)
    with pytest.raises(InputError, match=rf"the folder of this run \(RESUME=0 starts anew\), found {found}"):
        claim_folder(used, config, data, ALONE)
    assert contents(used) == before


def test_the_folder_of_other_code_is_left_alone(used, monkeypatch):
    monkeypatch.setattr("submission.phases.code_hash", lambda: "another")
    with pytest.raises(InputError, match="one with other code"):
        claim_folder(used, Config(), DATA, ALONE)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_damaged_note_of_the_run_is_no_licence(used, text):
    (used / ORIGIN).write_text(text)
    with pytest.raises(InputError, match="one with other content"):
        claim_folder(used, Config(), DATA, ALONE)


def test_an_artifact_of_unknown_origin_is_left_alone(tmp_path):
    (tmp_path / ARTIFACT).write_text("mine")
    with pytest.raises(InputError, match="found only an artifact"):
        claim_folder(tmp_path, Config(), DATA, ALONE)
    assert contents(tmp_path) == {ARTIFACT: b"mine"}


def test_starting_anew_leaves_nothing_of_the_run_before_and_nothing_else_goes(used):
    (used / CHECKPOINT).write_text("mine")
    (used / "notes.txt").write_text("keep")
    claim_folder(used, dataclasses.replace(Config(), matrix_lr=0.5, resume=False), DATA, ALONE)
    assert set(contents(used)) == {ORIGIN, "notes.txt"}
