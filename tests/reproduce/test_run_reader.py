"""How a long or hostile run is held in bounded memory."""

from __future__ import annotations

from pathlib import Path

from reproduce.logs import read_log
from reproduce.run_reader import KEPT


def test_a_curve_of_many_steps_is_thinned_and_its_end_kept(tmp_path: Path) -> None:
    steps = 5 * KEPT + 3
    lines = [f"step:{i}/{steps} train_loss:2.{i % 10} train_time:{i * 10}ms" for i in range(1, steps + 1)]
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\nfinal_exact val_loss:2.0 val_bpb:1.20000000\n")
    run = read_log(path)
    assert len(run.curve) <= KEPT + 1
    assert (run.steps, run.train_seconds) == (steps, steps / 100)


def test_a_validation_between_thinned_steps_is_kept_as_the_last(tmp_path: Path) -> None:
    steps = 3 * KEPT
    lines = [f"step:{i}/{steps} train_loss:2.0 train_time:{i}ms" for i in range(1, steps)]
    lines.append(f"step:{steps}/{steps} val_loss:2.0 val_bpb:1.2345 train_time:{steps}ms")
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\n")
    run = read_log(path)
    assert run.headline is not None and run.headline.val_bpb == 1.2345


def test_endless_metrics_and_settings_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    names = "\n".join(f"setting_{i}: {i}" for i in range(3 * KEPT))
    scores = "\n".join(f"stage_{i} val_bpb:1.{i:06d}" for i in range(5 * KEPT))
    path.write_text(names + "\n" + scores + "\n")
    run = read_log(path)
    assert len(run.settings) <= KEPT
    assert len(run.metrics) <= 2 * KEPT
