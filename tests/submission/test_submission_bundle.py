"""A bundle is one file that does what the package does, without the code its settings never reach."""

import ast
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import libcst as cst
import numpy as np
import pytest
import sentencepiece
from typer.testing import CliRunner

from golfproof.app import app
from submission.accounting import code_hash
from submission.bundle.fold import Undecided, value_of
from submission.bundle.folder import bundle, find_runs
from submission.bundle.merge import merge
from submission.config import load_config, presets
from submission.data import write_shard
from submission.errors import InputError

ROOT = Path(__file__).resolve().parents[2] / "submission"


@pytest.fixture(scope="module")
def sources():
    return {preset: merge(ROOT, load_config(preset, {})) for preset in ("tiny", "pr162", "pr1384")}


def test_a_bundle_imports_nothing_of_the_package(sources):
    for source in sources.values():
        imported = {n.module or "" for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)}
        assert not any(name.startswith("submission") for name in imported)


def test_every_name_a_bundle_uses_is_there(sources, tmp_path):
    for preset, source in sources.items():
        (tmp_path / f"{preset}.py").write_text(source)
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F811,E9", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("preset", "absent", "present"),
    [
        (
            "pr162",
            ["HedgeFive", "NormalisedMixer", "Adapter", "gptq", "crown_q", "ValueEmbedding"],
            ["SmearGate", "GPT"],
        ),
        ("pr1384", ["NormalisedMixer", "Adapter", "SmearGate", "crown_q"], ["HedgeFive"]),
        ("tiny", ["HedgeFive", "reference_windows"], ["NormalisedMixer", "Adapter", "gptq", "crown_q"]),
    ],
)
def test_what_a_preset_never_reaches_is_left_out(sources, preset, absent, present):
    tree = ast.parse(sources[preset])
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not defined & set(absent)
    assert defined >= set(present)


def test_a_bundle_has_no_docstrings_but_its_first(sources):
    tree = ast.parse(sources["tiny"])
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert not [node.name for node in nodes if ast.get_docstring(node)]


@pytest.mark.slow
@pytest.mark.parametrize("preset", [p for p in presets() if p not in ("tiny", "pr162", "pr1384")])
def test_every_preset_merges(preset):
    compile(merge(ROOT, load_config(preset, {})), preset, "exec")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("config.smear", False),
        ("not config.smear and config.num_layers > 2", True),
        ("config.smear and unknown", False),
        ("self.config.activation == 'relu2'", True),
        ("config.smear or not config.smear", True),
        ("'ttt' in stage", False),
    ],
)
def test_conditions_over_settings_are_decided(text, expected):
    settings = {"smear": False, "num_layers": 3, "activation": "relu2"}
    assert value_of(cst.parse_expression(text), settings, ("sliding", "mixer")) is expected


@pytest.mark.parametrize(
    "text", ["unknown", "config.other", "config.smear or unknown", "'mixer' in stage", "world.main"]
)
def test_other_conditions_are_left_alone(text):
    with pytest.raises(Undecided):
        value_of(cst.parse_expression(text), {"smear": False}, ("mixer",))


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="an empty or new folder"):
        bundle(ROOT, load_config("tiny", {}), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_is_not_the_entry_is_refused(tmp_path):
    with pytest.raises(InputError, match="a module of the entry"):
        bundle(tmp_path, load_config("tiny", {}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def write_run(folder, seed, bpb):
    folder.mkdir(parents=True)
    config = load_config("tiny", {})
    lines = ["preset:tiny run_id:x", f"settings_fingerprint:{config.fingerprint(seed=False)}", f"seed:{seed}"]
    lines += ["Serialized model int+zstd: 700 bytes", "evaluate:final_model.gpfa"]
    scores = [f"final_{stage}_exact val_loss:{1.5 * bpb:.8f} val_bpb:{bpb:.8f}" for stage in config.eval_stages]
    (folder / "train.log").write_text("\n".join([*lines, *scores]) + "\n")


def test_the_claim_is_the_mean_of_the_seeds(tmp_path):
    for seed, bpb in ((7, 2.0), (42, 2.2), (1337, 2.4)):
        write_run(tmp_path / "runs" / str(seed), seed, bpb)
    bundle(ROOT, load_config("tiny", {}), tmp_path / "out", tmp_path / "runs")
    claim = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert (claim["val_bpb"], claim["val_bpb_std"], claim["seeds"]) == (2.2, 0.2, [7, 42, 1337])
    assert claim["bytes_total"] == 700 + (tmp_path / "out" / "train_gpt.py").stat().st_size
    assert (tmp_path / "out" / "train_seed42.log").exists()
    assert "Mean val_bpb 2.2000 over 3 seeds" in (tmp_path / "out" / "README.md").read_text()


def test_the_readme_says_whose_code_the_logs_are_of(tmp_path):
    config = load_config("tiny", {})
    write_run(tmp_path / "package", 7, 2.0)
    bundle(ROOT, config, tmp_path / "first", tmp_path / "package")
    log = tmp_path / "package" / "train.log"
    log.write_text(log.read_text().replace("run_id:x", f"run_id:x code_sha256:{code_hash(tmp_path / 'first')}"))
    bundle(ROOT, config, tmp_path / "second", tmp_path / "package")
    said = [
        "The logs are of the package" in (tmp_path / name / "README.md").read_text() for name in ("first", "second")
    ]
    assert said == [True, False]


def test_two_runs_of_one_seed_are_refused(tmp_path):
    for name in "ab":
        write_run(tmp_path / name, 7, 2.0)
    with pytest.raises(InputError, match="one run a seed"):
        find_runs(tmp_path, load_config("tiny", {}))


def test_an_evaluation_that_was_killed_does_not_count_beside_the_one_that_ended(tmp_path):
    write_run(tmp_path / "run", 7, 2.0)
    log = tmp_path / "run" / "train.log"
    before, after = log.read_text().split("evaluate:")
    killed = "evaluate:final_model.gpfa\nfinal_roundtrip_exact val_loss:9.0 val_bpb:9.0\n"
    log.write_text(f"{before}{killed}evaluate:{after}")
    (run,) = find_runs(tmp_path, load_config("tiny", {}))
    assert [stage.val_bpb for stage in run.stages] == [2.0] * 4


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    write_run(tmp_path / "run", 7, 2.0)
    log = tmp_path / "run" / "train.log"
    log.write_text("\n".join(log.read_text().splitlines()[:-1]))
    with pytest.raises(InputError, match="a finished run, found 3 of 4 stages"):
        find_runs(tmp_path, load_config("tiny", {}))


def test_a_run_of_other_settings_is_refused(tmp_path):
    write_run(tmp_path / "run", 7, 2.0)
    with pytest.raises(InputError, match="with the settings to bundle"):
        find_runs(tmp_path, load_config("tiny", {"ITERATIONS": "5"}))


def test_without_runs_nothing_is_claimed(tmp_path):
    bundle(ROOT, load_config("tiny", {}), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "submission.json").read_text())["val_bpb"] is None


@pytest.fixture(scope="module")
def text_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    words = ["golf", "is", "a", "game", "of", "patience", "and", "the", "ball", "lies", "where", "it", "fell"]
    texts = [" ".join(np.random.default_rng(n).choice(words, 60)) for n in range(40)]
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
    write_shard(folder / "fineweb_train_000000.bin", np.concatenate(rows[:30]))
    write_shard(folder / "fineweb_val_000000.bin", np.concatenate(rows[30:]))
    return folder, model.vocab_size()


@pytest.mark.slow
def test_a_bundle_runs_alone_and_gives_the_packages_numbers(small, text_shards, tmp_path):
    folder, size = text_shards
    config = dataclasses.replace(small, vocab_size=size, eval_stages=("sliding", "ttt_mixer"), mixer_min_tokens=100)
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "train_gpt.py").write_text(merge(ROOT, config))
    settings = {
        name.upper(): ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in dataclasses.asdict(config).items()
        if not isinstance(value, bool) and value not in ("", ())
    }
    places = {"DATA_PATH": str(folder), "TOKENIZER_PATH": str(folder / "t.model"), "OMP_NUM_THREADS": "1"}
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PRESET", "PHASE")}

    def scores(script, **environment):
        result = subprocess.run(
            [sys.executable, str(script)],
            env={**clean, **places, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return re.findall(r"^final_\S+_exact .*$", result.stdout, re.M)

    alone = scores(tmp_path / "entry" / "train_gpt.py", OUT_DIR=str(tmp_path / "a"))
    package = scores(ROOT / "train_gpt.py", OUT_DIR=str(tmp_path / "b"), **settings)
    assert len(alone) == 2
    assert alone == package


def test_the_command_writes_the_folder_and_says_how_large_its_code_is(tmp_path):
    result = CliRunner().invoke(app, ["bundle", str(ROOT), "--preset", "pr162", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0
    size = (tmp_path / "out" / "train_gpt.py").stat().st_size
    assert f"{size:,} bytes" in result.output
    assert "claims nothing" in result.output
    names = {"train_gpt.py", "README.md", "submission.json", "requirements.txt"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
