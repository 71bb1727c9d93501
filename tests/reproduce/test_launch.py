"""A run command becomes arguments and variables without a shell, and without what could act outside the run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reproduce.errors import InputError
from reproduce.launch import Launch, author_launch, parse_launch, requested_processes, resolve
from reproduce.run_command import RunCommand


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train_gpt.py").write_text("")
    return tmp_path


def test_variables_in_front_are_kept_and_seed_is_ours() -> None:
    launch = parse_launch("SEED=1 LR='0.1 0.2' python train_gpt.py --fast")
    assert launch == Launch(("python", "train_gpt.py", "--fast"), {"LR": "0.1 0.2"})


@pytest.mark.parametrize("text", ["", "A=1", "python a.py | tee log", "python a.py > log", "python 'a.py", "a && b"])
def test_what_is_not_one_command_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--command"):
        parse_launch(text)


def test_python_is_this_interpreter(folder: Path) -> None:
    assert resolve(parse_launch("python3 train_gpt.py"), folder) == (sys.executable, "train_gpt.py")


def test_torchrun_is_this_interpreters_with_the_wanted_processes(folder: Path) -> None:
    launch = parse_launch("torchrun --standalone --nproc_per_node=8 records/track/x/train_gpt.py")
    assert requested_processes(launch) == 8
    argv = resolve(launch, folder, processes=1)
    assert argv == (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "train_gpt.py")


def test_processes_apart_from_their_option_are_replaced_too(folder: Path) -> None:
    argv = resolve(parse_launch("torchrun --nproc-per-node 8 train_gpt.py"), folder, processes=2)
    assert argv[3:] == ("--nproc_per_node=2", "train_gpt.py")


def test_script_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"other\.py"):
        resolve(parse_launch("python other.py"), folder)


def test_authors_variables_reach_the_run_save_those_for_the_loader(folder: Path) -> None:
    environment = {"LR": "0.1", "LD_PRELOAD": "./evil.so", "PATH": ".", "SEED": "3"}
    written = RunCommand("python3", "train_gpt.py", environment=environment)
    launch = author_launch(written, folder / "train_gpt.py", folder)
    assert launch == Launch(("python3", "train_gpt.py"), {"LR": "0.1"})


def test_other_programs_of_a_readme_are_not_started(folder: Path) -> None:
    written = RunCommand("modal", "deploy.py", environment={"LR": "0.1"}, file="README.md")
    launch = author_launch(written, folder / "train_gpt.py", folder)
    assert launch.argv == ("python", "train_gpt.py") and "modal" in launch.notes[0]


def test_relative_paths_that_exist_are_made_absolute(folder: Path) -> None:
    (folder / "shards").mkdir()
    written = RunCommand("python", "train_gpt.py", environment={"DATA_PATH": "./shards", "OTHER": "./none"})
    launch = author_launch(written, folder / "train_gpt.py", folder)
    assert launch.env == {"DATA_PATH": str((folder / "shards").resolve()), "OTHER": "./none"}


def test_script_is_found_by_its_path_from_the_contests_root(folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "train.py").write_text("")
    argv = resolve(parse_launch("python records/track/entry/code/train.py"), folder)
    assert argv[1] == "code/train.py"


def test_trainer_in_a_subfolder_is_started_there(folder: Path) -> None:
    launch = author_launch(None, folder / "code" / "train.py", folder)
    assert launch.argv == ("python", "code/train.py")


@pytest.mark.parametrize("script", ["../train_gpt.py/../../x.py", "/etc/x.py"])
def test_script_outside_the_folder_is_refused(folder: Path, script: str) -> None:
    with pytest.raises(InputError, match="names"):
        resolve(parse_launch(f"python {script}"), folder / "none")
