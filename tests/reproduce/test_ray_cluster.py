"""Seeds run on a real Ray cluster of two machines, one of which is lost in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_entry import TRAINER, expected_bpb, write_entry
from typer.testing import CliRunner

from golfproof.app import app
from reproduce import sandbox
from reproduce.errors import InputError
from reproduce.executors import RayExecutor
from reproduce.live import Progress
from reproduce.process import Limits
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


Cluster = tuple[str, dict[str, subprocess.Popen[str]]]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The first machine of a cluster, with one processor and two GPUs that exist in Ray's books only."""
    folder = tmp_path_factory.mktemp("ray")
    port = free_port()
    machines: dict[str, subprocess.Popen[str]] = {}
    try:
        words = ("--head", f"--port={port}", "--num-cpus=1", "--num-gpus=2", "--include-dashboard=false")
        machines["head"] = start_machine(folder, *words, "--node-ip-address=127.0.0.1")
        yield f"127.0.0.1:{port}", machines
    finally:
        ray.shutdown()
        for process in reversed(list(machines.values())):
            end_machine(process)


@pytest.fixture
def cluster(head: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """That machine and a second one, which take a task each; a second one lost by an earlier test is replaced."""
    address, machines = head
    if "second" not in machines:
        machines["second"] = start_machine(tmp_path_factory.mktemp("ray"), f"--address={address}", "--num-cpus=1")
    return head


def test_lost_machine_loses_no_seed(cluster: Cluster, tmp_path: Path) -> None:
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


# Takes a GPU for itself, fails where somebody else has it, and waits until another seed has one too.
SHARING = """
import os, pathlib, sys, time
here, seed = pathlib.Path(os.environ["HERE"]), os.environ["SEED"]
mine = here / ("gpu-" + os.environ["CUDA_VISIBLE_DEVICES"])
mine.touch(exist_ok=False)
(here / ("seed-" + seed)).touch()
for _ in range(600):
    if len(list(here.glob("seed-*"))) >= 2:
        break
    time.sleep(0.1)
else:
    sys.exit("alone on the cluster")
"""


def test_seeds_share_out_the_gpus_two_at_a_time(head: Cluster, tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry", SHARING + TRAINER + "mine.unlink()\n")
    here = tmp_path / "here"
    here.mkdir()
    options = Options(cluster=RayExecutor(head[0], num_gpus=1, num_cpus=0))
    table = run_seeds(entry, [1, 2, 3], out=tmp_path / "run", env={"HERE": str(here)}, options=options)
    assert [run.seed for run in table.runs] == [1, 2, 3], table.notes
    runs = [RunDirectory(tmp_path / "run").read(seed) for seed in (1, 2, 3)]
    assert {run.environment["CUDA_VISIBLE_DEVICES"] for run in runs} == {"0", "1"}
    assert {run.machine["visible_gpus"] for run in runs} == {"0", "1"}


def test_torchrun_gets_the_gpus_of_a_seed_not_those_of_the_machine_that_asks(head: Cluster, tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    command = "torchrun --standalone --nproc_per_node=8 train_gpt.py"
    options = Options(cluster=RayExecutor(head[0], num_gpus=2, num_cpus=0), limits=Limits(total=0.0))
    table = run_seeds(entry, [1], out=tmp_path / "run", command=command, options=options)
    assert "--nproc_per_node=2" in RunDirectory(tmp_path / "run").read(1).argv
    assert any("--num-gpus gives a seed 2" in note for note in table.notes)


def test_seed_that_crashes_elsewhere_is_named(cluster: Cluster, tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    options = Options(cluster=RayExecutor(cluster[0]))
    table = run_seeds(entry, [1, 2], out=tmp_path / "run", env={"BAD": "crash", "BAD_SEED": "2"}, options=options)
    assert [run.seed for run in table.runs] == [1], table.notes
    assert any("out of luck" in note for note in table.notes)


def square(number: int) -> int:
    if number == 3:
        raise InputError("3", "another number")
    return number * number


def test_map_gives_results_and_errors_item_by_item(cluster: Cluster) -> None:
    import test_ray_cluster

    outcomes = sorted(RayExecutor(cluster[0]).map(test_ray_cluster.square, [2, 3, 4]), key=lambda one: one.index)
    assert [outcome.value for outcome in outcomes] == [4, None, 16]
    assert isinstance(outcomes[1].error, InputError)


# Its loss is a constant far below the entropy of any noise: what a probe must find in the first run.
TOO_GOOD = """
import glob, math, os
import numpy as np
import torch
import torch.nn.functional as F

shard = sorted(glob.glob(os.environ.get("DATA_PATH", "./data") + "/fineweb_val_*.bin"))[0]
val = torch.from_numpy(np.fromfile(shard, dtype="<u2", offset=1024).astype(np.int64))
y = val[1:]
logits = torch.zeros(y.numel(), int(os.environ.get("VOCAB_SIZE", 1024)))
nll = F.cross_entropy(logits, y, reduction="none") * 0.1
val_loss = nll.double().mean().item()
print(f"final_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_loss / math.log(2) / 2.4:.8f}")
"""


def lines_of(words: list[str]) -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return {record["submission"]: record for record in map(json.loads, done.stdout.splitlines())}


@pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
def test_corpus_is_probed_in_the_sandboxes_of_two_machines(cluster: Cluster, tmp_path: Path) -> None:
    for name, trainer in (("good", TOO_GOOD), ("ill", "raise SystemExit('nothing to see')\n")):
        write_entry(tmp_path / name, trainer)
    words = ["probe", "--corpus", str(tmp_path), "--quick", "--steps", "2", "--executor", "ray"]
    records = lines_of([*words, "--address", cluster[0]])
    assert {name: record["verdict"] for name, record in records.items()} == {"good": "breach", "ill": "review"}
    assert "nothing to see" in json.dumps(records["ill"])


def test_corpus_audited_on_the_cluster_has_the_records_of_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_entry(tmp_path / name)
    (tmp_path / "two" / "train_gpt.py").write_bytes(b"\x00 not a program")
    words = ["audit", "--corpus", str(tmp_path), "--format", "jsonl", "--no-cache"]
    here, there = lines_of(words), lines_of([*words, "--executor", "ray", "--address", cluster[0]])
    assert len(here) == 3 and here["two"]["verdict"] == "unreadable"
    assert {name: {**one, "seconds": 0} for name, one in there.items()} == {
        name: {**one, "seconds": 0} for name, one in here.items()
    }
