"""Whole runs as a user starts them: train, artifact, evaluation in a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from submission.data import write_shard

SCRIPT = Path(__file__).resolve().parents[2] / "submission" / "train_gpt.py"
SMALL = {
    "VOCAB_SIZE": "300",
    "NUM_LAYERS": "3",
    "RECUR_LAYERS": "1",
    "MODEL_DIM": "32",
    "ROPE_DIMS": "4",
    "BIGRAM_DIM": "16",
    "BIGRAM_VOCAB_SIZE": "128",
    "VALUE_EMBED_DIM": "8",
    "VALUE_EMBED_LAYERS": "2",
    "TRAIN_SEQ_LEN": "32",
    "TRAIN_BATCH_TOKENS": "512",
    "ITERATIONS": "12",
    "WARMDOWN_ITERS": "6",
    "CHECKPOINT_EVERY": "4",
    "EVAL_SEQ_LEN": "32",
    "EVAL_STRIDE": "16",
    "MIXER_MIN_TOKENS": "100",
    "TTT_CHUNK_TOKENS": "256",
    "GPTQ_SAMPLES": "4",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Shards and a tokenizer of 300 pieces over a text of our own."""
    folder = tmp_path_factory.mktemp("data")
    words = ["golf", "is", "a", "game", "of", "patience", "and", "the", "ball", "lies", "where", "it", "fell"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 60)) for _ in range(80)]
    (folder / "text.txt").write_text("\n".join(texts))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "t"),
        model_type="bpe",
        vocab_size=300,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "t.model"))
    rows = [np.array(row) for row in model.encode(texts, add_bos=True)]
    write_shard(folder / "fineweb_train_000000.bin", np.concatenate(rows[:70]))
    write_shard(folder / "fineweb_val_000000.bin", np.concatenate(rows[70:]))
    return folder, str(model.vocab_size())


def start(dataset, out, script=SCRIPT, cwd=None, wait=True, **extra):
    folder, size = dataset
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PRESET", "PHASE", "SEED")},
        **SMALL,
        "VOCAB_SIZE": size,
        "DATA_PATH": str(folder),
        "TOKENIZER_PATH": str(folder / "t.model"),
        "OUT_DIR": str(out),
        "OMP_NUM_THREADS": "1",
        **extra,
    }
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return process
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    result = start(dataset, out, cwd=out)
    assert result.returncode == 0, result.stderr
    return out, result.stdout


@pytest.mark.slow
def test_a_run_reports_every_stage_in_the_contests_style(finished):
    _, output = finished
    for stage in ("roundtrip", "sliding_window", "ttt", "ttt_hedge_normalised"):
        assert re.search(rf"^final_{stage}_exact val_loss:\d+\.\d{{8}} val_bpb:\d+\.\d{{8}}$", output, re.M)
    assert re.search(r"^step:12/12 train_loss:", output, re.M)
    assert re.search(r"^unigram_entropy:\d+\.\d+ nats \d+\.\d+ bpb$", output, re.M)
    code, model, total = (
        int(re.search(rf"^{name}: (\d+) bytes$", output, re.M)[1])
        for name in ("Code size", r"Serialized model int\+zstd", r"Total submission size int\+zstd")
    )
    assert code + model == total
    assert (finished[0] / "final_model.gpfa").stat().st_size == model


@pytest.mark.slow
def test_the_lawful_mixture_is_a_distribution(finished):
    results = {entry["stage"]: entry for entry in json.loads((finished[0] / "results.json").read_text())}
    assert results["ttt_hedge_normalised"]["mass"] == pytest.approx(1.0, abs=1e-5)
    positions = {entry["score"]["tokens"] for entry in results.values()}
    assert len(positions) == 1


@pytest.mark.slow
def test_evaluation_needs_no_training_data_and_no_tokenizer(dataset, finished, tmp_path):
    out, output = finished
    (tmp_path / "only_val").mkdir()
    (tmp_path / "only_val" / "fineweb_val_000000.bin").write_bytes((dataset[0] / "fineweb_val_000000.bin").read_bytes())
    (tmp_path / "final_model.gpfa").write_bytes((out / "final_model.gpfa").read_bytes())
    result = start(
        dataset,
        tmp_path,
        PHASE="evaluate",
        ARTIFACT=str(tmp_path / "final_model.gpfa"),
        DATA_PATH=str(tmp_path / "only_val"),
        TOKENIZER_PATH="/nowhere",
        EVAL_STAGES="roundtrip",
    )
    assert result.returncode == 0, result.stderr
    line = re.search(r"^final_roundtrip_exact .*$", result.stdout, re.M)[0]
    assert line in output


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(dataset, finished):
    out, _ = finished
    before = (out / "final_model.gpfa").read_bytes()
    result = start(dataset, out, PHASE="train")
    assert result.returncode == 0
    assert "is complete" in result.stdout
    assert "train_loss" not in result.stdout
    assert (out / "final_model.gpfa").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"PRESET": "pr0"}, "preset pr0: expected one of"),
        ({"NUM_LAYERS": "x"}, "environment variable NUM_LAYERS: expected an integer"),
        ({"DATA_PATH": "/nowhere"}, "expected shards named fineweb_train_*.bin"),
        ({"EVAL_SEQ_LEN": "65536", "TTT_CHUNK_TOKENS": "65536"}, "validation shards: expected more than 65536 tokens"),
        ({"RANK": "1"}, "environment variable RANK: expected 0 to 0"),
        ({"WORLD_SIZE": "two"}, "environment variable WORLD_SIZE: expected an integer"),
        (
            {"SIZE_LIMIT": "1000", "ITERATIONS": "1", "EVAL_STAGES": "roundtrip"},
            "code + artifact of at most 1000 bytes",
        ),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(dataset, tmp_path, extra, expected):
    result = start(dataset, tmp_path, **extra)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr
    assert not (tmp_path / "final_model.gpfa").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_artifact(dataset, tmp_path):
    settings = {"ITERATIONS": "40", "WARMDOWN_ITERS": "20", "TRAIN_LOG_EVERY": "1", "PHASE": "train"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(dataset, whole, **settings).returncode == 0
    process = start(dataset, killed, wait=False, **settings)
    for line in process.stdout:
        if line.startswith("step:10/"):
            process.kill()
            break
    process.communicate()
    assert not (killed / "final_model.gpfa").exists()
    assert (killed / "checkpoint.pt").exists()
    result = start(dataset, killed, **settings)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^resume:step:\d+", result.stdout, re.M)
    assert "step:1/40 train_loss" not in result.stdout
    assert (killed / "final_model.gpfa").read_bytes() == (whole / "final_model.gpfa").read_bytes()
    assert not (killed / "checkpoint.pt").exists()


@pytest.mark.slow
def test_a_run_killed_while_it_evaluates_ends_with_the_same_scores(dataset, finished, tmp_path):
    settings = {"EVAL_BATCH_SEQS": "8", "EVAL_STAGES": "roundtrip,sliding"}
    process = start(dataset, tmp_path, wait=False, **settings)
    for line in process.stdout:
        if line.startswith("eval:sliding_window windows:"):  # the first of some ten such lines
            process.kill()
            break
    process.communicate()
    assert (tmp_path / "final_model.gpfa").exists()
    assert not (tmp_path / "results.json").exists()
    result = start(dataset, tmp_path, **settings)
    assert result.returncode == 0, result.stderr
    assert "resume:final_model.gpfa of this run is complete" in result.stdout
    assert "train_loss" not in result.stdout
    whole, again = (
        {entry["stage"]: entry["score"] for entry in json.loads((out / "results.json").read_text())}
        for out in (finished[0], tmp_path)
    )
    assert again["roundtrip"] == pytest.approx(whole["roundtrip"], abs=1e-6)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_training_that_diverges_says_so_in_one_line(dataset, tmp_path):
    result = start(dataset, tmp_path, TOKEN_LR="1e30", GRAD_CLIP_NORM="0")
    assert result.returncode == 2
    assert re.fullmatch(r"train_gpt\.py: training at step \d+: expected a finite loss .*, found nan\n", result.stderr)
    assert not (tmp_path / "final_model.gpfa").exists()


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_is_refused_with_the_reason(dataset, tmp_path):
    settings = {"ITERATIONS": "400", "TRAIN_LOG_EVERY": "1", "PHASE": "train"}
    process = start(dataset, tmp_path, wait=False, **settings)
    for line in process.stdout:
        if line.startswith("step:10/"):
            process.kill()
            break
    process.communicate()
    result = start(dataset, tmp_path, **{**settings, "MATRIX_LR": "0.5"})
    assert result.returncode == 2
    assert "one with other settings" in result.stderr
    assert "RESUME=0 starts anew" in result.stderr
    assert (tmp_path / "checkpoint.pt").exists()
