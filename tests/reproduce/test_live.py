"""A growing log tells the phase, the step, the speed and the time left, in any order of arrival."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.live import LogFollower, Phase, Progress, advance

HEAD = "train_batch_tokens:524288 train_seq_len:1024 iterations:20000 max_wallclock_seconds:600.000"


def after(*lines: str) -> Progress:
    return reduce(advance, lines, Progress())


def test_training_line_gives_step_loss_and_speed() -> None:
    state = after(HEAD, "step:1000/20000 train_loss:2.5000 train_time:50000ms step_avg:50.00ms")
    assert (state.phase, state.step, state.steps, state.train_loss) == (Phase.TRAIN, 1000, 20000, 2.5)
    assert state.tokens_per_second == pytest.approx(524288 / 0.05)


def test_time_left_is_that_of_the_limit_that_comes_first() -> None:
    line = "step:1000/{} train_loss:2.5 train_time:100000ms step_avg:100.00ms"
    assert after(HEAD, line.format(20000)).seconds_left == pytest.approx(500)
    assert after(HEAD, line.format(1100)).seconds_left == pytest.approx(10)


def test_warm_up_steps_are_no_training() -> None:
    state = after("warmup_step:5/20")
    assert state.phase is Phase.WARMUP and state.fraction == 0.25


@pytest.mark.parametrize(
    "line", ["stopping_early: wallclock_cap train_time:600152ms step:5170/20000", "peak memory 9 MiB"]
)
def test_end_of_training_begins_the_evaluation(line: str) -> None:
    assert after("step:1/2 train_loss:3.0 train_time:5ms", line).phase is Phase.EVAL


def test_chunks_of_an_evaluation_give_the_time_left() -> None:
    state = after("step:1/2 train_loss:3.0", "  ttt_chunk [100/400] bpb=1.0123 time=50.0s")
    assert (state.phase, state.fraction, state.val_bpb) == (Phase.EVAL, 0.25, 1.0123)
    assert state.seconds_left == pytest.approx(150)


def test_windows_of_an_evaluation_name_the_stage() -> None:
    state = after("step:1/2 train_loss:3.0", "eval:sliding windows:100/400 eval_time:5000ms")
    assert (state.stage, state.fraction, state.seconds_left) == ("sliding", 0.25, pytest.approx(15))


def test_final_line_names_the_stage() -> None:
    state = after("final_sliding_window_exact val_loss:2.01969483 val_bpb:1.19617654")
    assert (state.stage, state.val_bpb) == ("final_sliding_window", 1.19617654)


@pytest.mark.parametrize(
    "line", ["step:3/9 train_loss:nan", "step:3/9 val_loss:inf val_bpb:1.2", "final_x val_loss:1 val_bpb:NaN"]
)
def test_nan_is_seen(line: str) -> None:
    assert after(line).not_a_number == line


@pytest.mark.parametrize(
    "line",
    [
        "best_val_bpb:inf",
        "    loss = nan  # until the first step",
        "aux_loss:nan",
        "loss_name:nano",
        "step:3/9 train_loss:2.0 banana",
    ],
)
def test_other_words_are_no_nan(line: str) -> None:
    assert after(line).not_a_number is None


@given(st.lists(st.text(max_size=80), max_size=20))
def test_no_line_breaks_the_reader(lines: list[str]) -> None:
    state = after(*lines)
    assert state.fraction is None or 0 <= state.fraction <= 1


@given(st.lists(st.integers(1, 40), max_size=20))
def test_pieces_of_any_size_give_what_the_whole_gives(sizes: list[int]) -> None:
    text = "\n".join([HEAD, *(f"step:{i}/9 train_loss:{9 - i}.5 train_time:{i * 7}ms" for i in range(10)), ""]).encode()
    with TemporaryDirectory() as folder:
        path = Path(folder, "train.log")
        follower, at = LogFollower(path), 0
        for size in [*sizes, len(text)]:
            with path.open("ab") as file:
                file.write(text[at : at + size])
            at = min(at + size, len(text))
            follower.poll()
        assert follower.progress == after(*text.decode().splitlines())


def test_log_that_is_not_there_yet_is_nothing_new(tmp_path: Path) -> None:
    assert LogFollower(tmp_path / "none.log").poll() is False
