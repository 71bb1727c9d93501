"""Seeds run on a real Ray cluster of two machines, one of which is lost in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_entry import expected_bpb, write_entry

from reproduce.errors import InputError
from reproduce.executors import RayExecutor
from reproduce.live import Progress
from reproduce.rundir import RunDirectory
from reproduce.runner import Options, run_seeds

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'golfproof[ray]')")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_machine(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A Ray node of its own in a process group of its own; returns once it says that it runs."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_failure_threshold": "2",
    }
    environment.pop("RAY_ADDRESS", None)
    script = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--object-store-memory=80000000"]
    process = subprocess.Popen(
        [*script, *words],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ray runtime started" in line:
            return process
    raise AssertionError("".join(said))


def end_machine(process: subprocess.Popen[str]) -> None:
    """Pull the plug: the node's processes (they are in its group or its session) end at once."""
    for pid in session(process.pid):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, subprocess.Popen[str]]]]:
    """A head that takes no tasks and two machines that take one each."""
    folder = tmp_path_factory.mktemp("ray")
    port = free_port()
    address = f"127.0.0.1:{port}"
    machines: dict[str, subprocess.Popen[str]] = {}
    try:
        head = ("--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--node-ip-address=127.0.0.1")
        machines["head"] = start_machine(folder, *head)
        machines["second"] = start_machine(folder, f"--address={address}", "--num-cpus=1", '--resources={"second": 1}')
        yield address, machines
    finally:
        ray.shutdown()
        for process in reversed(list(machines.values())):
            end_machine(process)


def test_lost_machine_loses_no_seed(cluster: tuple[str, dict[str, subprocess.Popen[str]]], tmp_path: Path) -> None:
    address, machines = cluster
    entry = write_entry(tmp_path / "entry")
    trainers: dict[int, int] = {}

    def pull_the_plug(seed: int, state: Progress) -> None:
        """Once both machines train, end the one that is not the head."""
        if state.step >= 2 and "second" in machines:
            trainers[seed] = RunDirectory(tmp_path / "run").read(seed).pid or 0
            if len(trainers) == 2:
                end_machine(machines.pop("second"))

    table = run_seeds(
        entry,
        [1, 2, 3],
        out=tmp_path / "run",
        env={"PAUSE": "0.4", "ITERATIONS": "8"},
        progress=pull_the_plug,
        options=Options(cluster=RayExecutor(address)),
    )
    assert "second" not in machines, "the machine was to be lost while it trained"
    assert {run.seed: run.headline.val_bpb for run in table.runs if run.headline} == {
        seed: expected_bpb(seed) for seed in (1, 2, 3)
    }
    runs = [RunDirectory(tmp_path / "run").read(seed) for seed in (1, 2, 3)]
    assert sorted(run.attempt for run in runs) == [1, 1, 2]
    assert all(
        run.artifact and (tmp_path / "run" / str(run.seed) / run.artifact.path).stat().st_size == 5000 for run in runs
    )


def test_seed_that_crashes_elsewhere_is_named(
    cluster: tuple[str, dict[str, subprocess.Popen[str]]], tmp_path: Path
) -> None:
    entry = write_entry(tmp_path / "entry")
    options = Options(cluster=RayExecutor(cluster[0]))
    table = run_seeds(entry, [1, 2], out=tmp_path / "run", env={"BAD": "crash", "BAD_SEED": "2"}, options=options)
    assert [run.seed for run in table.runs] == [1], table.notes
    assert any("out of luck" in note for note in table.notes)


def square(number: int) -> int:
    if number == 3:
        raise InputError("3", "another number")
    return number * number


def test_map_gives_results_and_errors_item_by_item(cluster: tuple[str, dict[str, subprocess.Popen[str]]]) -> None:
    import test_ray_cluster

    outcomes = sorted(RayExecutor(cluster[0]).map(test_ray_cluster.square, [2, 3, 4]), key=lambda one: one.index)
    assert [outcome.value for outcome in outcomes] == [4, None, 16]
    assert isinstance(outcomes[1].error, InputError)


def test_corpus_audited_on_the_cluster_has_the_records_of_one_machine(
    cluster: tuple[str, dict[str, subprocess.Popen[str]]], tmp_path: Path
) -> None:
    from audit.corpus import audit_corpus

    for name in ("one", "two", "three"):
        write_entry(tmp_path / name)
    (tmp_path / "two" / "train_gpt.py").write_bytes(b"\x00 not a program")
    here = list(audit_corpus(tmp_path, jobs=1))
    there = list(audit_corpus(tmp_path, cluster=RayExecutor(cluster[0])))
    assert len(here) == 3 and [{**one, "seconds": 0} for one in there] == [{**one, "seconds": 0} for one in here]
