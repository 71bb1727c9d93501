"""Failures that reading by hand showed to be wrong, each by a case of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.gate import evidence_rules
from reproduce.folder import open_folder

SCORE = "final_exact val_loss:{loss:.8f} val_bpb:{score:.8f}\n"


def check(folder: Path, rule: str, name: str = "", code: str = "import torch\n", **files: str) -> Check:
    (folder / "train_gpt.py").write_text(code)
    for stem, text in files.items():
        (folder / stem.replace("__", ".")).write_text(text)
    evidence = Evidence.of_folder(open_folder(folder))
    lines = [line for each in evidence_rules() if each.id == rule for line in each.lines(evidence)]
    return next(line for line in lines if not name or line.name == name)


@pytest.mark.parametrize(
    ("std", "wanted"), [("0.00017", Status.WARN), ("0.00018", Status.PASS), ("0.0004", Status.FAIL)]
)
def test_a_std_that_was_cut_instead_of_rounded_only_warns(tmp_path: Path, std: str, wanted: Status) -> None:
    seeds = '{"1": 1.15401994, "2": 1.15390429, "3": 1.15425222}'  # 0.000177 sample, 0.000145 population
    text = f'{{"val_bpb": 1.154059, "val_bpb_std": {std}, "seeds": {seeds}}}'
    assert check(tmp_path, "E-CLAIM", "claimed std", submission__json=text).status is wanted


def test_a_score_that_stands_in_a_file_of_results_only_warns(tmp_path: Path) -> None:
    log = "seed:1\n" + SCORE.format(loss=1.9, score=1.1243)
    claim = json.dumps({"val_bpb": 1.119})
    found = check(tmp_path, "E-CLAIM", "claimed score", train__log=log, submission__json=claim)
    assert found.status is Status.FAIL
    found = check(tmp_path, "E-CLAIM", "claimed score", ttt__json='{"ttt_bpb": 1.1190125110029}')
    assert found.status is Status.WARN
    assert "ttt.json" in found.message


def test_fewer_tokens_of_more_bytes_are_the_whole_text(tmp_path: Path) -> None:
    log = "seed:1\ncaseops_enabled: True\nval_tokens: {}\n" + SCORE.format(loss=2.53238835, score=1.05841119)
    assert check(tmp_path, "M-SIDECAR", train__log=log.format(43_767_808)).status is Status.PASS
    assert check(tmp_path, "M-SIDECAR", train__log=log.format(47_851_520)).status is Status.FAIL


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (
            "stats = collect_gptq_hessians(\n    model, val_tokens, device, seq_len=args.train_seq_len,\n)",
            Status.UNCHECKED,
        ),
        ("stats = collect_hessians(model, train_loader, device)", Status.FAIL),
        ("def collect_hessians(model, val_tokens): ...", Status.FAIL),
    ],
)
def test_what_a_log_does_not_say_of_calibration_is_asked_of_the_program(
    tmp_path: Path, call: str, wanted: Status
) -> None:
    log = "seed:1\nstopping_early: wallclock_cap train_time:600085ms step:9/20000\n"
    log += "gptq: collecting Hessians from 128 calibration samples...\ngptq: collected 63 Hessians\n"
    log += SCORE.format(loss=1.9, score=1.12)
    assert check(tmp_path, "T-CAL", code=f"import torch\n{call}\n", train__log=log).status is wanted


@pytest.mark.parametrize(("built", "wanted"), [(True, Status.FAIL), (False, Status.UNCHECKED)])
def test_a_switch_for_hint_tables_is_nothing_without_a_table(tmp_path: Path, built: bool, wanted: Status) -> None:
    log = "Hyperparameters:\n  ngram_hint_precompute_outside: True\n  seed: 1\n"
    log += "ngram_tilt:precompute_outside_timer_done elapsed=164.53s total_targets=47851520\n" if built else ""
    assert check(tmp_path, "T-PRE", train__log=log + SCORE.format(loss=1.9, score=1.12)).status is wanted


def test_hardware_of_the_metadata_counts_where_the_log_is_silent(tmp_path: Path) -> None:
    log = "seed:1\nstep:9/9 train_loss:2.0 train_time:1200050ms\n" + SCORE.format(loss=1.9, score=1.12)
    assert check(tmp_path, "T-TRAIN", train__log=log).status is Status.FAIL
    claim = json.dumps({"val_bpb": 1.12, "hardware": "1xRTX 5090"})
    assert check(tmp_path, "T-TRAIN", submission__json=claim).status is Status.WARN


def test_an_excess_is_named_in_what_it_was_measured_in(tmp_path: Path) -> None:
    log = "seed:1\nval_bpb:enabled tokenizer_path=./data/words_8192_bpe.model\n"
    log += "val_loader:shards pattern=./val_*.bin tokens:62455808\n" + SCORE.format(loss=1.83671792, score=0.9697649)
    assert "13% more than 151.1 MB of text" in check(tmp_path, "D-SPLIT", train__log=log).message


def test_seeds_that_are_only_planned_need_no_log(tmp_path: Path) -> None:
    claim = {"val_bpb": None, "seeds": [1, 2, 3], "seed_results": {}}
    log = "seed:1\n" + SCORE.format(loss=1.9, score=1.12)
    found = check(tmp_path, "S-SEEDS", "logs of the claimed seeds", train__log=log, submission__json=json.dumps(claim))
    assert found.status is Status.UNCHECKED
    claim["val_bpb"] = 1.12
    found = check(tmp_path, "S-SEEDS", "logs of the claimed seeds", submission__json=json.dumps(claim))
    assert found.status is Status.FAIL


def test_the_evaluation_that_is_claimed_is_the_one_that_is_timed(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        text = f"seed:{seed}\nstep:9/9 train_loss:2.0 train_time:9ms\n"
        text += f"final_wide_exact val_loss:1.9 val_bpb:1.190{seed}8660 eval_time:53415ms\n"
        text += f"final_narrow_exact val_loss:1.9 val_bpb:1.189{seed}4517 eval_time:846517ms\n"
        (tmp_path / f"train_seed{seed}.log").write_text(text)
    assert check(tmp_path, "T-EVAL").status is Status.FAIL
    claim = json.dumps({"val_bpb": 1.19028660})
    assert check(tmp_path, "T-EVAL", submission__json=claim).status is not Status.FAIL


def test_the_mean_of_two_runs_of_one_seed_is_a_mean(tmp_path: Path) -> None:
    logs = {
        f"run{n}__log": "seed:1337\n" + SCORE.format(loss=2.6, score=v) for n, v in ((2, 1.56446831), (3, 1.56735837))
    }
    claim = json.dumps({"val_bpb": 1.56591334})
    assert check(tmp_path, "E-CLAIM", "claimed score", submission__json=claim, **logs).status is Status.PASS


def test_a_claimed_checkpoint_is_no_artifact_where_the_log_has_a_packed_size_that_fits(tmp_path: Path) -> None:
    claim = json.dumps({"val_bpb": 1.12, "bytes_total": 25_055_000})
    log = "seed:1\nsize fp16: 23.89 MB\n{}" + SCORE.format(loss=1.9, score=1.12)
    assert check(tmp_path, "ART-CAP", submission__json=claim, train__log=log.format("")).status is Status.FAIL
    packed = log.format("size_lzma: 15.10 MB (limit 16 MB)\n")
    assert check(tmp_path, "ART-CAP", train__log=packed).status is Status.WARN


def test_the_gpu_that_a_script_chooses_makes_no_other_program(tmp_path: Path) -> None:
    source = "import os\nimport torch\n{}x = {}\n" + "=" * 100 + "\n"
    logs = {
        f"train_seed{seed}__log": source.format(line, value) + f"seed:{seed}\n" + SCORE.format(loss=1.9, score=1.12)
        for seed, line, value in ((1, "", 1), (2, 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n', 1))
    }
    assert check(tmp_path, "S-SEEDS", "one program for all seeds", **logs).status is Status.PASS


def test_seeds_that_one_log_tells_of_ask_for_a_reader(tmp_path: Path) -> None:
    log = "seed:1\nSaved: model_seed42.pt\n" + SCORE.format(loss=1.9, score=1.12)
    claim = json.dumps({"val_bpb": 1.12, "seeds": [1, 42]})
    found = check(tmp_path, "S-SEEDS", "logs of the claimed seeds", submission__json=claim, train__log=log)
    assert found.status is Status.WARN


def test_apples_framework_is_another_machine(tmp_path: Path) -> None:
    log = "mlx_max_microbatch_tokens:8192\nseed:1\nstep:9/9 train_loss:2.0 train_time:605383ms\n"
    log += SCORE.format(loss=1.9, score=1.12)
    assert check(tmp_path, "T-TRAIN", train__log=log).status is Status.WARN


def test_a_readme_may_say_that_its_entry_is_no_record(tmp_path: Path) -> None:
    log = "seed:1\nstep:9/9 train_loss:2.0 train_time:900000ms\n" + SCORE.format(loss=1.9, score=1.12)
    assert check(tmp_path, "T-TRAIN", train__log=log, README__md="# Deep entry\n").status is Status.FAIL
    assert check(tmp_path, "T-TRAIN", README__md="# Deep entry (Non-Record)\n").status is Status.UNCHECKED


@pytest.mark.parametrize(("claimed", "wanted"), [(1.12, Status.FAIL), (1.09, Status.WARN)])
def test_a_lone_log_of_another_score_than_the_claimed_one_only_warns_of_its_size(
    tmp_path: Path, claimed: float, wanted: Status
) -> None:
    log = "seed:1\nTotal submission size int8+zlib: 18612195 bytes\n" + SCORE.format(loss=1.9, score=1.12)
    found = check(tmp_path, "ART-CAP", train__log=log, submission__json=json.dumps({"val_bpb": claimed}))
    assert found.status is wanted
