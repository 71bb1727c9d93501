"""The record of a run names the GPUs and the driver that nvidia-smi tells of, or says why they are not known."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_entry import write_entry
from hypothesis import given
from hypothesis import strategies as st

from reproduce import gpus
from reproduce.gpus import Gpus, find_gpus, read_answer
from reproduce.process import Limits
from reproduce.rundir import RunDirectory
from reproduce.runner import Options, run_seeds

EIGHT = "NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15\n" * 8


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    find_gpus.cache_clear()
    yield
    find_gpus.cache_clear()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in the place of nvidia-smi."""

    def put(script: str, mode: int = 0o755) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "nvidia-smi"
        program.write_text(script)
        program.chmod(mode)
        monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))

    return put


def says(text: str) -> str:
    return f"#!/bin/sh\ncat <<'END'\n{text}END\n"


def test_name_count_and_driver_stand_in_the_record_of_a_run(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    stand_in(says(EIGHT))
    table = run_seeds(write_entry(tmp_path / "entry"), [1], out=tmp_path / "run")
    machine = RunDirectory(tmp_path / "run").read(1).machine
    assert table.runs[0].gpu == "NVIDIA H100 80GB HBM3 (81559 MiB)"
    assert machine["gpus"] == ["NVIDIA H100 80GB HBM3 (81559 MiB)"] * 8
    assert (machine["gpu_count"], machine["driver"], machine["gpus_unknown"]) == (8, "550.54.15", None)


def test_without_nvidia_smi_the_record_says_that_they_are_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus.shutil, "which", lambda name: None)
    run_seeds(write_entry(tmp_path / "entry"), [1], out=tmp_path / "run")
    machine = RunDirectory(tmp_path / "run").read(1).machine
    assert (machine["gpus"], machine["gpu_count"], machine["driver"]) == ([], None, None)
    assert machine["gpus_unknown"] == "no nvidia-smi on the PATH"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\necho 'NVIDIA-SMI has failed: no driver'\nexit 9\n", "exit code 9: NVIDIA-SMI has failed"),
        ("#!/nowhere/sh\n", "cannot be started"),
        (says("\x1b[31mwhat?\n"), r"answered '\\x1b\[31mwhat\?'"),
        (says("[N/A], [N/A], [N/A]\n"), r"answered '\[N/A\]"),
        ("#!/bin/sh\n", "answered nothing"),
    ],
)
def test_failing_or_garbled_answer_is_told_and_no_gpu_invented(
    stand_in: Callable[[str], None], script: str, why: str
) -> None:
    stand_in(script)
    found = find_gpus()
    assert (found.names, found.count, found.driver) == ((), None, None)
    assert re.search(why, found.why)


def test_hanging_nvidia_smi_is_given_up_with_its_children(
    stand_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("#!/bin/sh\nsleep 600 | cat\n")
    monkeypatch.setattr(gpus, "PATIENCE", 0.2)
    assert find_gpus() == Gpus(why="nvidia-smi gave no answer in 0.2 s")


def test_machine_whose_nvidia_smi_finds_no_device_is_known_to_have_none(stand_in: Callable[[str], None]) -> None:
    stand_in("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert find_gpus() == Gpus() and find_gpus().count == 0


def test_name_with_a_comma_is_one_name() -> None:
    assert read_answer("Quadro, special, 4096 MiB, 1.2\n") == Gpus(("Quadro, special (4096 MiB)",), "1.2")


@given(st.text())
def test_any_answer_is_either_read_or_told(text: str) -> None:
    found = read_answer(text)
    assert bool(found.names) != bool(found.why) and found.why.isprintable()


@pytest.mark.parametrize(
    ("visible", "usable"), [(None, 8), ("0,1,2", 3), ("", 0), ("-1", 0), ("2,-1,3", 1), ("GPU-aa,GPU-bb", 2)]
)
def test_visible_devices_bound_what_a_run_can_use(visible: str | None, usable: int) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert read_answer(EIGHT).usable(environment) == usable


def test_torchrun_gets_a_process_a_gpu_and_the_table_says_why(stand_in: Callable[[str], None], tmp_path: Path) -> None:
    stand_in(says("NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15\n" * 2))
    entry = write_entry(tmp_path / "entry")
    table = run_seeds(
        entry,
        [1],
        out=tmp_path / "run",
        command="torchrun --standalone --nproc_per_node=8 train_gpt.py",
        options=Options(limits=Limits(total=0.0)),  # only what would be started matters
    )
    assert "--nproc_per_node=2" in RunDirectory(tmp_path / "run").read(1).argv
    assert any("8 processes, a GPU each; this machine has 2 to use: 2 started" in note for note in table.notes)
