"""Our own entry before our own auditor: what is lawful in it comes out clean, what is not comes out illegal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from typer.testing import CliRunner

from audit.finding import Severity
from audit.run import audit_path
from golfproof.app import app
from submission.bundle.folder import bundle
from submission.config import load_config
from submission.data import write_shard

ENTRY = Path(__file__).parents[2] / "submission"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["legal", "tiny", "pr162"])
def test_the_bundle_of_a_lawful_preset_is_clean(preset: str, tmp_path: Path) -> None:
    bundle(ENTRY, load_config(preset, {}), tmp_path / "entry")
    assert audit_path(tmp_path / "entry").verdict == "clean"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["pr700", "pr745", "pr1384", "pr1453"])
def test_the_bundle_of_a_preset_with_an_entropy_expert_is_illegal(preset: str, tmp_path: Path) -> None:
    bundle(ENTRY, load_config(preset, {}), tmp_path / "entry")
    result = audit_path(tmp_path / "entry")
    assert result.verdict == "illegal"
    assert {f.rule for f in result.findings if f.active and f.severity is Severity.ERROR} == {"C2-ENTROPY"}


SMALL = {
    "NUM_LAYERS": "2",
    "RECUR_LAYERS": "",
    "MODEL_DIM": "32",
    "ROPE_DIMS": "4",
    "XSA_LAST_N": "2",
    "BIGRAM_VOCAB_SIZE": "64",
    "BIGRAM_DIM": "8",
    "VALUE_EMBED_DIM": "8",
    "VALUE_EMBED_LAYERS": "1",
    "TRAIN_SEQ_LEN": "32",
    "TRAIN_BATCH_TOKENS": "256",
    "ITERATIONS": "3",
    "WARMDOWN_ITERS": "2",
    "EVAL_SEQ_LEN": "32",
    "EVAL_STRIDE": "32",
    "EVAL_STAGES": "sliding,mixer",
    "MIXER_MIN_TOKENS": "100",
    "GPTQ_SAMPLES": "2",
}


@pytest.mark.slow
def test_runs_of_three_seeds_and_their_bundle_pass_the_gate(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    words = ["golf", "is", "a", "game", "of", "patience", "and", "the", "ball", "lies", "where", "it", "fell"]
    texts = [" ".join(np.random.default_rng(n).choice(words, 60)) for n in range(20)]
    options = {"model_type": "bpe", "vocab_size": 300, "byte_fallback": True, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(data / "t"), minloglevel=2, **options
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(data / "t.model"))
    rows = [np.array(row) for row in model.encode(texts, add_bos=True)]
    write_shard(data / "fineweb_train_000000.bin", np.concatenate(rows[:15]))
    write_shard(data / "fineweb_val_000000.bin", np.concatenate(rows[15:]))
    settings = {**SMALL, "VOCAB_SIZE": str(model.vocab_size())}
    places = {"DATA_PATH": str(data), "TOKENIZER_PATH": str(data / "t.model"), "OMP_NUM_THREADS": "1"}
    clean = {name: value for name, value in os.environ.items() if name not in ("PRESET", "PHASE", "SEED")}
    for seed in ("1337", "42", "7"):
        done = subprocess.run(
            [sys.executable, str(ENTRY / "train_gpt.py")],
            env={**clean, **settings, **places, "SEED": seed, "OUT_DIR": str(tmp_path / "runs" / seed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    bundle(ENTRY, load_config("tiny", settings), tmp_path / "entry", tmp_path / "runs")
    result = CliRunner().invoke(app, ["gate", str(tmp_path / "entry")])
    assert result.exit_code == 0, result.output
    assert "3 claimed seeds stand in their logs" in result.output
    assert "FAIL" not in result.output
