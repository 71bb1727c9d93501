"""The whole probe on small trainers of our own, in the sandbox: the lawful one holds, the others do not."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.probe.launch import PROBE_LIMITS, Launch
from audit.probe.probe import ProbeResult, probe_path
from audit.probe.shrink import Toy
from golfproof.app import app
from reproduce import sandbox

walls = pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
PLAN = Launch(toy=Toy(steps=4), limits=replace(PROBE_LIMITS, wall_seconds=120, cpu_seconds=60))

TRAINER = """
import glob, math, os, sys
import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F

TTT_FIRST = os.environ.get("TTT_FIRST", "0") == "1"
EXTRA_BYTE = int(os.environ.get("EXTRA_BYTE", "0"))
SCALE = float(os.environ.get("SCALE", "1.0"))
data, seq_len = os.environ.get("DATA_PATH", "./data"), int(os.environ.get("TRAIN_SEQ_LEN", 1024))
vocab = int(os.environ.get("VOCAB_SIZE", 1024))
device = torch.device("cuda", 0)
torch.cuda.set_device(device)


def load(pattern):
    tokens = np.concatenate([np.fromfile(f, dtype="<u2", offset=1024) for f in sorted(glob.glob(pattern))])
    return torch.from_numpy(tokens.astype(np.int64))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(vocab, 64)
        self.head = torch.nn.Linear(64, vocab)
        torch.nn.init.zeros_(self.head.weight)

    def forward(self, x, y):
        logits = self.head(self.emb(x))
        return F.cross_entropy(logits.reshape(-1, vocab).float(), y.reshape(-1), reduction="none")


sp = spm.SentencePieceProcessor(model_file=os.environ.get("TOKENIZER_PATH", "./t.model"))
space = torch.tensor([sp.id_to_piece(i).startswith("\\u2581") for i in range(vocab)])
control = torch.tensor([sp.is_control(i) or sp.is_unknown(i) for i in range(vocab)])
size = torch.tensor([0 if control[i] else 1 if sp.is_byte(i) else len(sp.id_to_piece(i).replace("\\u2581", "").encode())
                     for i in range(vocab)])
torch.manual_seed(int(os.environ.get("SEED", 1)))
model = torch.compile(Model().to(device))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, fused=True)
train, val = load(f"{data}/fineweb_train_*.bin").cuda(), load(f"{data}/fineweb_val_*.bin").to(device)


def fit(tokens, epochs):
    for _ in range(epochs):
        loss = model(tokens[:-1].view(1, -1), tokens[1:].view(1, -1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


EVALUATES = sys.argv[1:] == ["evaluate"]
for step in range(0 if EVALUATES else int(os.environ.get("ITERATIONS", 20000))):
    fit(train[step * 4096 : step * 4096 + 4097], 1)
if not EVALUATES:
    torch.save(model.state_dict(), "model.pt")
    if os.environ.get("SPLIT", "0") == "1":
        os.execv(sys.executable, [sys.executable, __file__, "evaluate"])
model.load_state_dict(torch.load("model.pt", map_location="cuda"))
if os.environ.get("READS_TRAIN", "0") == "1":
    load(f"{data}/fineweb_train_*.bin")
if TTT_FIRST:
    fit(val, 2)
loss_sum, count, byte_sum = torch.zeros((), dtype=torch.float64, device="cuda"), 0, 0.0
for start in range(0, val.numel() - 1, seq_len):
    stop = min(start + seq_len, val.numel() - 1)
    x, y = val[start:stop], val[start + 1 : stop + 1]
    with torch.inference_mode(), torch.autocast(device_type="cuda", dtype=torch.bfloat16):
        nll = model(x[None], y[None]) * SCALE
    loss_sum += nll.to(torch.float64).sum()
    count += y.numel()
    byte_sum += (size[y] + (space[y] & ~control[x]).long() + EXTRA_BYTE).sum().item()
val_loss = (loss_sum / count).item()
print(f"final_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_loss / math.log(2) * count / byte_sum:.8f}")
"""


def submission(folder: Path) -> Path:
    entry = folder / "2026-01-01_Toy"
    entry.mkdir()
    (entry / "train_gpt.py").write_text(TRAINER)
    return entry


def probe(folder: Path, **settings: str) -> ProbeResult:
    return probe_path(submission(folder), plan=PLAN, environment=settings, keep=folder / "kept")


def broken(result: ProbeResult) -> set[str]:
    return {experiment.name for experiment in result.experiments if experiment.status == "breach"}


@walls
@pytest.mark.slow
def test_a_lawful_trainer_holds_and_every_experiment_could_be_done(tmp_path: Path) -> None:
    result = probe(tmp_path)
    assert result.verdict == "holds", result.reasons
    assert {(e.name, str(e.status)) for e in result.experiments} == {
        ("floor", "holds"), ("normalisation", "holds"), ("causality", "holds"), ("bytes", "holds"),
        ("coverage", "holds"), ("isolation", "holds"), ("network", "holds"),
    }  # fmt: skip
    assert result.findings == ()


@walls
@pytest.mark.slow
def test_training_on_the_validation_stream_first_moves_earlier_scores(tmp_path: Path) -> None:
    result = probe(tmp_path, TTT_FIRST="1")
    assert result.verdict == "breach" and "causality" in broken(result)
    found = next(f for f in result.findings if f.rule == "PROBE-CAUSALITY")
    assert found.basis == "measurement" and "seed 1337" in found.reference and found.line is not None
    assert "loss_sum +=" in TRAINER.splitlines()[found.line - 1]
    assert [run["run"] for run in result.runs] == ["first", "flipped", "repeated"]


@walls
@pytest.mark.slow
def test_a_scaled_loss_and_a_wrong_denominator_are_caught_and_the_command_exits_1(tmp_path: Path) -> None:
    entry = submission(tmp_path)
    (entry / "README.md").write_text("```bash\nSCALE=0.3 EXTRA_BYTE=1 torchrun --nproc_per_node=8 train_gpt.py\n```\n")
    run = CliRunner().invoke(app, ["probe", str(entry), "--quick", "--steps", "4", "--format", "json"])
    assert run.exit_code == 1, run.output
    result = json.loads(run.output)
    found = {e["name"] for e in result["experiments"] if e["status"] == "breach"}
    assert result["verdict"] == "breach" and {"floor", "normalisation", "bytes"} <= found
    assert [r["run"] for r in result["runs"]] == ["first"]


@walls
@pytest.mark.slow
def test_an_evaluation_that_needs_training_shards_fails_when_they_are_removed(tmp_path: Path) -> None:
    result = probe_path(
        submission(tmp_path), plan=PLAN, environment={"READS_TRAIN": "1"}, experiments=("floor", "isolation")
    )
    found = next(e for e in result.experiments if e.name == "isolation")
    assert found.status == "warning" and "model.pt was read back: it ended with" in found.message
    assert [run["training_shards_removed"] for run in result.runs] == [False, True]


@walls
@pytest.mark.slow
def test_a_program_that_becomes_its_own_evaluator_is_heard(tmp_path: Path) -> None:
    result = probe_path(submission(tmp_path), plan=PLAN, environment={"SPLIT": "1"}, experiments=("floor",))
    assert result.runs[0]["processes"] == 2 and result.verdict == "holds", result.reasons
    assert {str(e.status) for e in result.experiments if e.name in ("normalisation", "coverage")} == {"holds"}


@walls
def test_what_cannot_be_run_is_review_with_the_reason(tmp_path: Path) -> None:
    entry = submission(tmp_path)
    (entry / "train_gpt.py").write_text("import os\nimport no_such_kernel_library\n")
    result = probe_path(entry, plan=PLAN)
    assert result.verdict == "review" and "no_such_kernel_library" in result.reasons[0]


def test_without_walls_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "refusal", lambda: "bwrap is not on the PATH")
    run = CliRunner().invoke(app, ["probe", str(submission(tmp_path))])
    assert run.exit_code != 0 and "bwrap is not on the PATH" in str(run.exception)
    assert not list(tmp_path.rglob("model.pt"))


def test_no_torch_is_imported_before_a_strangers_code_is_walled_in() -> None:
    assert sys.executable
    source = "import sys, audit.probe.probe; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    import subprocess

    subprocess.run([sys.executable, "-c", source], check=True)
