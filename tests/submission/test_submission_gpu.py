"""The code's path on a GPU, on a pretended one: no tensor of the CPU meets one of the GPU, and losses are the CPU's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from submission.data import write_shard

HERE = Path(__file__).parent
PRESETS = ("tiny", "pr1453")  # every feature of `legal`, and of the seeds' what is run otherwise


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The few lines of C++ that let autograd take tensors of a device that is not there."""
    if torch.version.cuda is not None or sys.platform != "linux":
        pytest.skip("needs the CPU build of torch for Linux")
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    root, built = Path(torch.__file__).parent, tmp_path_factory.mktemp("pretend") / "gpu.so"
    options = ["-O0", "-std=c++20", "-shared", "-fPIC", f"-I{root / 'include'}", f"-L{root / 'lib'}"]
    options += ["-o", str(built), "-lc10", "-ltorch_cpu"]
    subprocess.run([compiler, str(HERE / "pretend" / "gpu.cpp"), *options], check=True, capture_output=True)
    return built


@pytest.fixture(scope="module")
def printed(library, tmp_path_factory):
    """What pretend/run.py prints, a list of words a line."""
    data = tmp_path_factory.mktemp("data")
    tokens = np.cumsum(np.random.default_rng(0).integers(1, 4, 301)) % 62 + 2
    write_shard(data / "fineweb_train_000000.bin", np.tile(tokens, 4))
    write_shard(data / "fineweb_val_000000.bin", tokens)
    environment = {
        **os.environ,
        "PRETEND_GPU": str(library),
        "PYTHONPATH": str(HERE.parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "pretend" / "run.py"), str(data), *PRESETS],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_every_feature_runs_on_a_gpu_and_scores_what_the_cpu_scores(printed):
    rows = [row for row in printed if row[0] not in ("mistake", "ranks")]
    assert {row[0] for row in rows} == set(PRESETS)
    assert {"trained", "resumed", "ttt", "ttt_hedge_normalised", "hedge_five"} <= {row[1] for row in rows}
    for preset, stage, on_cpu, on_gpu in rows:  # activations are bfloat16 on a GPU
        assert float(on_gpu) == pytest.approx(float(on_cpu), abs=0.02), (preset, stage)


@pytest.mark.slow
def test_ranks_on_gpus_send_each_other_tensors_of_gpus(printed):
    sent = {row[1]: row[2:] for row in printed if row[0] == "ranks"}
    assert sent == {preset: ["all_gather", "all_reduce"] for preset in PRESETS}


@pytest.mark.slow
def test_the_pretended_gpu_notices_mistakes_and_nothing_else(printed):
    noticed = {row[1]: row[2] for row in printed if row[0] == "mistake"}
    assert noticed == {"sum": "True", "index": "True", "numpy": "True", "none": "False"}
