"""Two processes compute what one computes: training, sliding windows, adaptation and mixture."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_two_ranks_give_the_losses_of_one(shards):
    one, two = start(1, shards), start(2, shards)
    assert set(one) == {"train", "weights", "sliding", "ttt", "mixer", "ttt_mixer", "hedge-5"}
    assert two == pytest.approx(one, abs=2e-5)  # nats a token; sums are taken in another order
