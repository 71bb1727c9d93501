"""Two processes compute what one computes: training, sliding windows, adaptation and mixture."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from submission.distributed import World, join_world
from submission.errors import InputError

ENTRY = Path(__file__).parent / "two_ranks.py"


def start(size, folder):
    """Losses that ``two_ranks.py`` prints on rank 0 with that many processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, str(ENTRY), str(folder)],
            env={
                **os.environ,
                "RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    output, *_ = [process.communicate()[0] for process in ranks]
    assert all(process.returncode == 0 for process in ranks)
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", output, re.M)}


@pytest.fixture
def eight_gpus(monkeypatch):
    """What ``join_world`` asks of torch on a machine with eight GPUs; the calls it makes, by name."""
    calls = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: calls.update(device=device))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **more: calls.update(backend=backend, **more))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    return calls


def test_a_rank_on_gpus_joins_by_nccl_with_the_gpu_of_its_own(eight_gpus, monkeypatch):
    for name, value in {"RANK": "11", "WORLD_SIZE": "16", "LOCAL_RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    device = torch.device("cuda", 3)
    assert join_world() == World(11, 16, device)
    assert eight_gpus == {"device": device, "backend": "nccl", "rank": 11, "world_size": 16, "device_id": device}


def test_more_ranks_than_gpus_are_refused(eight_gpus, monkeypatch):
    for name, value in {"RANK": "8", "WORLD_SIZE": "9", "LOCAL_RANK": "8"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="LOCAL_RANK: expected a GPU a rank, of 8 here, found 8"):
        join_world()


@pytest.mark.slow
def test_two_ranks_give_the_losses_of_one(shards):
    one, two = start(1, shards), start(2, shards)
    assert set(one) == {"train", "weights", "sliding", "ttt", "mixer", "ttt_mixer", "hedge-5"}
    assert two == pytest.approx(one, abs=2e-5)  # nats a token; sums are taken in another order
