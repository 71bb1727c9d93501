"""A rerun is held against a claim seed by seed, with a bound that depends on what was evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_entry import TRAINER, expected_bpb, write_entry
from hypothesis import given
from hypothesis import strategies as st

from reproduce.compare import DETERMINISTIC, MIXER, TEST_TIME_TRAINING, Target, Verdict, bound_of, compare, read_target
from reproduce.determinism import check_determinism
from reproduce.errors import InputError
from reproduce.frames import export, runs_frame, steps_frame, summary_frame
from reproduce.runlog import Metric, RunLog
from reproduce.runner import run_seeds
from reproduce.table import SeedTable, tabulate

STAGE = "final_int8_zlib_roundtrip_exact"


def table(scores: dict[int, float], stage: str = STAGE) -> SeedTable:
    metrics = {seed: Metric(stage, None, value) for seed, value in scores.items()}
    return tabulate([RunLog("log", seed=seed, metrics=(one,), headline=one) for seed, one in metrics.items()])


def target(scores: dict[int, float], stage: str = STAGE) -> Target:
    return Target("claim", stage, {stage: scores})


@pytest.mark.parametrize(
    ("stage", "bound"),
    [
        ("final_roundtrip_exact", DETERMINISTIC),
        ("final_sliding_window", DETERMINISTIC),
        ("final_int6_ttt_exact", TEST_TIME_TRAINING),
        ("final_hedge_mixer_exact", MIXER),
    ],
)
def test_bound_depends_on_what_was_evaluated(stage: str, bound: object) -> None:
    assert bound_of(stage) is bound


def test_small_difference_is_reproduced_for_a_mixer_and_not_for_a_sliding_window() -> None:
    ours, claimed = {1: 1.106, 2: 1.106, 3: 1.106}, {1: 1.1, 2: 1.1, 3: 1.1}
    for stage, verdict in (("final_hedge_mixer", Verdict.REPRODUCED), ("final_sliding_window", Verdict.WORSE)):
        assert compare(table(ours, stage), target(claimed, stage)).verdict is verdict


def test_mean_is_held_to_a_tighter_bound_than_a_seed() -> None:
    claimed, ours = {1: 1.1, 2: 1.1, 3: 1.1, 4: 1.1}, {1: 1.1015, 2: 1.1015, 3: 1.1015, 4: 1.1015}
    result = compare(table(ours), target(claimed))
    assert all(row.verdict is Verdict.REPRODUCED for row in result.rows)
    assert result.verdict is Verdict.WORSE and result.means[-1].bound == pytest.approx(DETERMINISTIC.per_seed / 2)


def test_better_than_claimed_is_not_reproduced_either() -> None:
    assert compare(table({1: 1.0}), target({1: 1.1})).verdict is Verdict.BETTER


def test_seed_of_one_side_alone_is_unchecked_and_not_in_the_mean() -> None:
    result = compare(table({1: 1.1, 9: 0.5}), target({1: 1.1, 2: 2.0}))
    assert {row.seed: row.verdict for row in result.rows} == {
        1: Verdict.REPRODUCED,
        9: Verdict.UNCHECKED,
        2: Verdict.UNCHECKED,
    }
    assert result.means[-1].claimed == result.means[-1].ours == 1.1


def test_nothing_in_common_is_unchecked() -> None:
    assert compare(table({1: 1.1}), target({2: 1.1})).verdict is Verdict.UNCHECKED


@given(st.dictionaries(st.integers(0, 99), st.floats(0.5, 2.0), min_size=1, max_size=6))
def test_everything_reproduces_itself(scores: dict[int, float]) -> None:
    result = compare(table(scores), target(scores))
    assert {row.verdict for row in (*result.rows, *result.means)} == {Verdict.REPRODUCED}


def test_claimed_mean_is_compared_where_no_seed_is_claimed(tmp_path: Path) -> None:
    entry = write_entry(tmp_path / "entry")
    (entry / "submission.json").write_text(json.dumps({"name": "x", "val_bpb": 1.1}))
    result = compare(table({1: 1.3, 2: 1.3}), read_target(entry))
    assert result.means[-1].claimed == 1.1 and result.verdict is Verdict.WORSE


def test_run_directory_is_a_target(tmp_path: Path) -> None:
    ours = run_seeds(write_entry(tmp_path / "entry"), [1, 2], out=tmp_path / "run")
    result = compare(ours, read_target(tmp_path / "run"))
    assert result.verdict is Verdict.REPRODUCED and result.means[-1].claimed == pytest.approx(
        (expected_bpb(1) + expected_bpb(2)) / 2
    )


def test_entry_without_claims_or_logs_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="claimed scores or logs"):
        read_target(write_entry(tmp_path / "entry"))


def test_deterministic_trainer_is_found_so(tmp_path: Path) -> None:
    found = check_determinism(write_entry(tmp_path / "entry"), 3, out=tmp_path / "run")
    assert found.divergence is None and found.compared == 4 + 2 + 1  # four losses, loss and score, the artifact


def test_first_step_that_differs_is_named(tmp_path: Path) -> None:
    drifting = TRAINER.replace("{7 - 3 * step / steps:.4f}", "{7 - 3 * step / steps + (step > 2) * os.getpid():.4f}")
    found = check_determinism(write_entry(tmp_path / "entry", drifting), 3, out=tmp_path / "run")
    assert found.divergence is not None and found.divergence.where == "step 3 train_loss"


def test_run_that_fails_cannot_be_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a finished run of seed 3"):
        check_determinism(
            write_entry(tmp_path / "entry"), 3, out=tmp_path / "run", env={"BAD": "crash", "BAD_SEED": "3"}
        )


def test_frames_hold_runs_steps_and_a_summary_by_stage(tmp_path: Path) -> None:
    found = run_seeds(write_entry(tmp_path / "entry"), [1, 2], out=tmp_path / "run")
    assert list(runs_frame(found)["seed"]) == [1, 2]
    assert len(steps_frame(found)) == 8
    summary = summary_frame(found).set_index("stage").loc[STAGE]
    assert found.summary is not None
    assert (summary["n"], summary["mean"], summary["std"]) == (2, found.summary.mean, found.summary.std)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_exported_tables_read_back(tmp_path: Path, form: str) -> None:
    pd = pytest.importorskip("pandas")
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'golfproof[parquet]')")
    export(table({1: 1.1, 2: 1.2}), tmp_path, form)
    read = pd.read_csv if form == "csv" else pd.read_parquet
    assert list(read(tmp_path / f"runs.{form}")["val_bpb"]) == [1.1, 1.2]


def test_table_without_runs_is_exported_empty(tmp_path: Path) -> None:
    assert len(export(SeedTable((), "", None), tmp_path)) == 4


def test_other_format_is_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="csv or parquet"):
        export(table({1: 1.1}), tmp_path, "xlsx")
