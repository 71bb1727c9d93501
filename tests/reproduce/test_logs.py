"""What the log reader makes of the dialects, and of logs meant to break it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce import logfigures
from reproduce.errors import InputError
from reproduce.logs import read_log, read_runs
from reproduce.logtext import LONGEST, LineReader

CONTEST = """\
logs/7c1.txt
val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path=./data/tokenizers/words_1024_bpe.model
train_loader:dataset:words10B_sp1024 train_shards:80
val_loader:shards pattern=./data/words_val_*.bin tokens:62021632
model_params:22368841
world_size:8 grad_accum_steps:1
train_batch_tokens:786432 iterations:20000 max_wallclock_seconds:600.000
seed:42
step:0/20000 val_loss:6.9290 val_bpb:4.1036 train_time:0ms step_avg:0.01ms
step:200/20000 train_loss:2.4012 train_time:16252ms step_avg:81.26ms
step:7385/20000 val_loss:1.9712 val_bpb:1.1675 train_time:600099ms step_avg:81.26ms
stopping_early: wallclock_cap train_time:600099ms step:7385/20000
Serialized model: 87413467 bytes
Code size: 52243 bytes
Total submission size: 87465710 bytes
Serialized model int6+zstd: 15865061 bytes
Total submission size int8+zlib: 15917304 bytes
final_int6_roundtrip val_loss:1.9700 val_bpb:1.1668 eval_time:20691ms
final_int6_roundtrip_exact val_loss:1.97002913 val_bpb:1.16676012
  sliding_eval [ 99.1%] 120032/121136 windows running_bpb=1.153003
final_int6_sliding_window val_loss:1.9359 val_bpb:1.1466 eval_time:154937ms
final_int6_sliding_window_exact val_loss:1.93591485 val_bpb:1.14656085
"""

HYPERPARAMETERS = """\
Hyperparameters:
  seed: 0
  train_shards: 80
  tokenizer_path: ./data/tokenizers/words_8192_bpe.model
  val_tokens: 40540160
  world_size: 8
gptq:reserving 12s, effective=588000ms
1/20000 train_loss: 9.0105 train_time: 0.0m tok/s: 17662834
4961/20000 val_loss: 2.3642 val_bpb: 1.0803
stopping_early: wallclock_cap train_time: 588010ms step: 4961/20000
GPTQ:collecting Hessians from calibration data...
GPTQ:collected 67 Hessians in 11.4s
quantized val_loss:2.84597969 val_bpb:1.10176743 eval_time:7681ms
quantized_sliding_window val_loss:2.80287510 val_bpb:1.08508030 eval_time:120838ms
"""


def write(folder: Path, text: str, name: str = "train.log") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_contests_own_dialect_is_read_in_full(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, CONTEST))
    assert (run.seed, run.world_size, run.steps, run.planned_steps) == (42, 8, 7385, 20000)
    assert (run.val_tokens, run.train_shards, run.parameters) == (62021632, 80, 22368841)
    assert run.train_seconds == pytest.approx(600.099)
    assert run.step_seconds == pytest.approx(0.08126)
    assert (run.total_bytes, run.model_bytes, run.code_bytes) == (15917304, 15865061, 52243)
    assert run.tokenizer == "./data/tokenizers/words_1024_bpe.model"
    assert run.settings["iterations"] == "20000"


def test_the_headline_is_the_last_evaluation_in_its_most_precise_printing(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, CONTEST))
    assert run.headline is not None
    assert run.headline.stage == "final_int6_sliding_window_exact"
    assert run.headline.val_bpb == 1.14656085
    assert run.headline.seconds == pytest.approx(154.937)
    assert "last evaluation" in run.headline_why
    assert run.complete


def test_an_evaluation_printed_twice_is_timed_once(tmp_path: Path) -> None:
    text = (
        CONTEST
        + "ttt:done val_loss=1.8000 val_bpb=1.0660 elapsed=300.0s\nlegal_ttt val_bpb:1.0660 eval_time:300500ms\n"
    )
    run = read_log(write(tmp_path, text))
    assert run.eval_seconds == pytest.approx(20.691 + 154.937 + 300.0, abs=1)


def test_hyperparameter_blocks_and_the_stopped_clock_are_read(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, HYPERPARAMETERS))
    assert (run.seed, run.train_shards, run.val_tokens, run.world_size) == (0, 80, 40540160, 8)
    assert [e.kind for e in run.events] == ["reserve", "clock", "calibration", "calibrated"]
    assert run.events[-1].values["seconds"] == pytest.approx(11.4)
    assert run.headline is not None and run.headline.val_bpb == 1.0850803


def test_diagnostics_printed_last_are_not_the_headline(tmp_path: Path) -> None:
    text = (
        CONTEST
        + "DIAGNOSTIC post_ema val_loss:1.9000 val_bpb:1.1000 eval_time:2ms\nbest_averaging:ema val_bpb:1.0900\n"
    )
    run = read_log(write(tmp_path, text))
    assert run.headline is not None and run.headline.val_bpb == 1.14656085


def test_a_log_cut_in_the_middle_has_no_headline(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, CONTEST[: CONTEST.index("step:7385")]))
    assert run.headline is None
    assert not run.complete
    assert run.steps == 200


def test_without_a_final_evaluation_the_last_validation_counts_and_says_so(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, "step:100/100 val_loss:2.0 val_bpb:1.2000 train_time:10s\n"))
    assert run.headline is not None and run.headline.val_bpb == 1.2
    assert "during training" in run.headline_why
    assert not run.complete


def test_the_source_that_a_log_prints_is_kept_apart(tmp_path: Path) -> None:
    source = '"""A trainer."""\n\nimport torch\nprint("val_bpb:9.9")\nseed = 7\n'
    run = read_log(write(tmp_path, source + "=" * 100 + "\nRunning Python 3.12\n" + "=" * 100 + "\n" + CONTEST))
    assert run.source is not None and run.source.strip() == source.strip()
    assert run.headline is not None and run.headline.val_bpb == 1.14656085
    assert run.seed == 42


def test_a_source_without_closing_rule_does_not_swallow_the_run(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, "import torch\nx = 1\n" + CONTEST))
    assert run.source == "import torch\nx = 1"
    assert run.headline is not None


def test_a_source_hash_ignores_line_ends(tmp_path: Path) -> None:
    one = read_log(write(tmp_path, "import torch\nx = 1\n" + CONTEST, "a.log"))
    two = read_log(write(tmp_path, "import torch\r\nx = 1\r\n" + CONTEST, "b.log"))
    assert one.source_hash == two.source_hash


def test_several_runs_in_one_file_are_told_apart(tmp_path: Path) -> None:
    second = CONTEST.replace("seed:42", "seed:7").replace("1.14656085", "1.14491770")
    runs = read_runs(write(tmp_path, CONTEST + second))
    assert [(r.seed, r.headline and r.headline.val_bpb) for r in runs] == [(42, 1.14656085), (7, 1.1449177)]
    assert "2 runs" in read_log(tmp_path / "train.log").warnings[-1]


def test_an_evaluation_started_separately_belongs_to_its_training(tmp_path: Path) -> None:
    runs = read_runs(write(tmp_path, CONTEST + "logs/7c2.txt\nfinal_ttt_exact val_loss:1.8 val_bpb:1.06600000\n"))
    assert len(runs) == 1
    assert runs[0].headline is not None and runs[0].headline.val_bpb == 1.066


def test_a_seed_only_in_the_file_name_is_marked_so(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, CONTEST.replace("seed:42\n", ""), "train_seed1337.log"))
    assert (run.seed, run.seed_from) == (1337, "file name")


def test_utf16_logs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(CONTEST.replace("\n", "\r\n").encode("utf-16"))
    assert read_log(path).seed == 42
    path.write_bytes(CONTEST.encode("utf-16-le"))
    assert read_log(path).seed == 42


def test_progress_bars_with_carriage_returns_do_not_hide_results(tmp_path: Path) -> None:
    bar = "\r".join(f"{i}%|##| {i}/100 [00:00]" for i in range(100))
    run = read_log(write(tmp_path, CONTEST.replace("final_int6_sliding", bar + "\rfinal_int6_sliding")))
    assert run.headline is not None and run.headline.val_bpb == 1.14656085


def test_a_traceback_at_the_end_is_a_failure(tmp_path: Path) -> None:
    text = (
        CONTEST
        + 'Traceback (most recent call last):\n  File "t.py", line 1, in f\nZeroDivisionError: division by zero\n'
    )
    run = read_log(write(tmp_path, text))
    assert run.failures == ("ZeroDivisionError: division by zero",)
    assert run.complete


def test_gates_of_ngram_tilts_are_read(tmp_path: Path) -> None:
    line = "ngram_tilt:hints total=47851520 token_gate=100 within_gate=9866847 word_gate=2891588 agree2plus=303177\n"
    run = read_log(write(tmp_path, CONTEST + line))
    gate = next(e for e in run.events if e.kind == "gate")
    assert gate.values["within_gate"] == 9866847


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-inf"])
def test_figures_that_are_not_finite_become_warnings(tmp_path: Path, value: str) -> None:
    run = read_log(write(tmp_path, f"seed:1\nfinal_exact val_loss:{value} val_bpb:{value}\n"))
    assert run.headline is None
    assert run.warnings


def test_an_endless_line_is_cut_and_the_rest_is_read(tmp_path: Path) -> None:
    run = read_log(write(tmp_path, "x" * (LONGEST + 5_000_000) + "\n" + CONTEST))
    assert run.headline is not None
    assert any("were cut" in warning for warning in run.warnings)


def test_a_file_of_one_endless_line_holds_a_bounded_text(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"a" * (3 * LONGEST))
    reader = LineReader(path)
    assert [len(line) for _, line in reader] == [LONGEST]
    assert reader.cut == 1


def test_zero_bytes_are_dropped_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"\0" * 5000 + CONTEST.encode())
    run = read_log(path)
    assert run.headline is not None
    assert any("zero bytes" in warning for warning in run.warnings)


def test_an_empty_log_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an empty file"):
        read_log(write(tmp_path, ""))
    with pytest.raises(InputError, match=r"gone\.log"):
        read_log(tmp_path / "gone.log")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(CONTEST.splitlines() + HYPERPARAMETERS.splitlines()), max_size=40), st.binary(max_size=60)
)
def test_no_order_of_lines_and_no_bytes_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, lines, noise
) -> None:
    path = tmp_path_factory.mktemp("logs") / "train.log"
    path.write_bytes(b"x" + "\n".join(lines).encode() + b"\n" + noise)
    for run in read_runs(path):
        assert run.headline is None or run.headline.val_bpb is not None


@given(st.floats(min_value=1e-4, max_value=1e4), st.integers(min_value=1, max_value=10))
def test_a_printed_score_is_read_back_exactly(value: float, decimals: int) -> None:
    text = f"{value:.{decimals}f}"
    (pair,) = logfigures.pairs(f"stage val_bpb:{text}")
    assert pair.value == float(text)
    assert pair.digits == decimals


@pytest.mark.parametrize("length", [500, 8_000, 64_000])
@pytest.mark.parametrize("unit", ["a ", "a", "a=", "((((", "1/", "step ", "9", "val_bpb ", "1.", "_:", "\t1 "])
def test_searches_do_not_backtrack(unit: str, length: int) -> None:
    # A pattern that backtracked would not come back from the longest within the life of the test suite.
    text = unit * (length // len(unit))
    logfigures.pairs(text)
    logfigures.step_of(text)
    logfigures.sizes_in(text)
    assert logfigures.counted(text) in (True, False)


def test_a_score_may_say_in_brackets_how_it_was_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        "seed:1\nfinal_exact val_loss:2.06 val_bpb:1.2217\n"
        "final_sliding val_loss:2.0412 val_bpb:1.2089 (stride=64 chunk=512 ctx=4096)\n"
        "ttt chunk:5 val_bpb:1.3000\n"
    )
    (run,) = read_runs(path)
    assert run.headline is not None
    assert run.headline.val_bpb == 1.2089


def test_the_validation_loader_tells_the_tokens_not_a_part_scored_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        "seed:1\nval_eval:subset fraction=0.05 tokens=3100672 (full=62021632)\n"
        "val_loader:shards pattern=./val_*.bin tokens:62021632\nfinal_exact val_loss:2.06 val_bpb:1.2217\n"
    )
    assert read_runs(path)[0].val_tokens == 62_021_632
