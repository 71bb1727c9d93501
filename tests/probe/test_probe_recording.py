"""A reported mean is traced to the losses it is the mean of; a tape is data from a stranger."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audit.probe.child.tape import Alignment, Tape
from audit.probe.experiments import Status, check_causality, check_floor, check_mass, stages
from audit.probe.noise import Source
from audit.probe.recording import Recording, read_recording
from reproduce.errors import InputError
from reproduce.runlog import Metric

RNG = np.random.default_rng(4)
TARGETS = 240


def recording(
    vectors: list[tuple[int, np.ndarray]], marks: list[tuple[int, str]], places: list[tuple[int, int, int, int]] = ()
) -> Recording:
    """A tape of one vector a moment; sites 0 and 1 are a cross entropy and a sum."""
    events, at = [], 0
    for moment, (site, vector) in enumerate(vectors):
        events.append((moment, site, at, at + len(vector)))
        at += len(vector)
    return Recording(
        np.concatenate([vector for _, vector in vectors]), np.array(events), np.array(places).reshape(-1, 4),
        np.zeros((0, 3), int), (("t.py", 5, "cross_entropy"), ("t.py", 9, "sum")), tuple(marks), False, "",
    )  # fmt: skip


def windows() -> tuple[list[tuple[int, np.ndarray]], list[tuple[int, int, int, int]], np.ndarray]:
    """Sliding windows of 80 with stride 40: each cross entropy is followed by the sum of what is counted of it."""
    vectors, places, counted = [], [], []
    for start in range(0, TARGETS - 40, 40):
        losses = RNG.random(80) + 5
        places.append((len(vectors), start + 1, 0, 80))
        vectors.append((0, losses))
        kept = losses if start == 0 else losses[40:]
        vectors.append((1, kept))
        counted.append(kept)
    return vectors, places, np.concatenate(counted)


def test_the_counted_part_of_each_window_is_found_with_its_places() -> None:
    vectors, places, counted = windows()
    mean = counted.mean()
    tape = recording(vectors, [(len(vectors), f"final_exact val_loss:{mean:.8f} val_bpb:1.0")], places)
    found = tape.explain(round(mean, 8), 8, TARGETS)
    assert found is not None and found.exact and found.site == ("t.py", 9, "sum")
    assert np.array_equal(found.losses, counted) and np.array_equal(found.positions, np.arange(1, TARGETS + 1))


def test_the_first_loss_after_an_earlier_figure_belongs_to_the_next() -> None:
    first, second = RNG.random(TARGETS) + 3, RNG.random(TARGETS) + 4
    marks = [(1, f"val_loss:{first.mean():.6f}"), (2, f"val_loss:{second.mean():.6f}")]
    tape = recording([(1, first), (1, second)], marks)
    found = tape.explain(round(second.mean(), 6), 6, TARGETS)
    assert found is not None and np.array_equal(found.losses, second) and not found.exact
    assert np.array_equal(found.positions, np.arange(1, TARGETS + 1))


def test_losses_summed_under_a_mask_are_those_that_it_leaves() -> None:
    vectors, places, counted = [], [], []
    for start in range(0, TARGETS, 40):
        before = min(start, 40)  # context that is scored again, and not counted
        losses = RNG.random(40 + before) + 5
        places.append((len(vectors), start - before + 1, 0, 40 + before))
        vectors += [(0, losses), (1, losses * (np.arange(40 + before) >= before))]
        counted.append(losses[before:])
    counted = np.concatenate(counted)
    tape = recording(vectors, [(len(vectors), f"final val_loss:{counted.mean():.8f} val_bpb:1.0")], places)
    found = tape.explain(round(counted.mean(), 8), 8, TARGETS)
    assert found is not None and found.exact and np.array_equal(found.losses, counted)
    assert np.array_equal(found.positions, np.arange(1, TARGETS + 1))


def test_a_pass_that_scores_anew_is_explained_by_its_last_round() -> None:
    rounds = [RNG.random(TARGETS) + 6 - i for i in range(3)]
    tape = recording([(1, r) for r in rounds], [(3, f"val_loss:{rounds[-1].mean():.6f}")])
    found = tape.explain(round(rounds[-1].mean(), 6), 6, TARGETS)
    assert found is not None and np.array_equal(found.losses, rounds[-1])


def test_a_figure_that_nothing_has_as_its_mean_stays_unexplained() -> None:
    tape = recording([(1, RNG.random(TARGETS))], [(1, "val_loss:1.2345")])
    assert tape.explain(1.2345, 4, TARGETS) is None


def test_targets_are_found_in_the_stream() -> None:
    stream = Source("spike").draw(4000, 1).tokens
    rows = np.concatenate([stream[100:228], stream[164:292], np.zeros(10, np.int64)])
    assert Alignment(stream).find(rows.astype(np.int64)) == [(100, 0, 128), (164, 128, 128)]
    assert Alignment(stream).find(RNG.integers(4, 1024, 200)) == []


def test_scores_that_move_by_chance_prove_nothing() -> None:
    stream = Source("spike").draw(TARGETS + 1, 1)
    runs = []
    for _ in range(3):
        losses = RNG.random(TARGETS) + 4
        tape = recording([(1, losses)], [(1, f"val_loss:{losses.mean():.8f}")])
        runs.append(stages((Metric("final", round(losses.mean(), 8), 1.0),), (tape,), TARGETS)[0])
    assert check_causality(*runs, TARGETS // 2, stream).status is Status.UNCHECKED
    assert check_causality(runs[0], runs[1], runs[0], TARGETS // 2, stream).status is Status.BREACH
    assert check_causality(runs[0], runs[0], None, TARGETS // 2, stream).status is Status.HOLDS


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a tape", bytes(1000)])
def test_what_is_no_tape_is_unusable_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tape.npz").write_bytes(content)
    with pytest.raises(InputError, match="a tape of the probe"):
        read_recording(tmp_path / "tape.npz")


def test_a_tape_whose_tables_point_outside_is_refused(tmp_path: Path) -> None:
    notes = json.dumps(
        {"sites": [["t.py", 1, "sum"]], "marks": [], "full": False, "failure": "", "asked": {}, "opened": []}
    )
    np.savez(
        tmp_path / "tape.npz", values=np.zeros(3), events=np.array([[0, 0, 0, 9]]), places=np.zeros((0, 4), int),
        trained=np.zeros((0, 3), int), notes=np.frombuffer(notes.encode(), np.uint8),
    )  # fmt: skip
    with pytest.raises(InputError, match="contradict"):
        read_recording(tmp_path / "tape.npz")


def test_of_two_evaluations_that_agree_in_the_first_digits_the_one_printed_in_full_is_taken() -> None:
    first = RNG.random(TARGETS) + 3
    second = first + 1e-5
    marks = [
        (1, f"step:12/12 val_loss:{first.mean():.4f}"),
        (2, f"final val_loss:{second.mean():.4f}"),
        (2, f"final_exact val_loss:{second.mean():.8f}"),
    ]
    found = recording([(1, first), (1, second)], marks).explain(round(second.mean(), 8), 8, TARGETS)
    assert found is not None and np.array_equal(found.losses, second) and found.began == 1


def test_losses_whose_order_does_not_go_with_the_prices_are_not_judged_by_place() -> None:
    stream = Source("spike").draw(TARGETS + 1, 1)
    paid = stream.nll[1:] + 0.1
    verdicts = []
    for losses in (paid, RNG.permutation(paid)):
        tape = recording([(1, losses)], [(1, f"val_loss:{losses.mean():.8f}")])
        found = stages((Metric("final", round(losses.mean(), 8), 1.0),), (tape,), TARGETS)[0]
        verdicts.append(check_mass(found, stream).status)
    assert verdicts == [Status.HOLDS, Status.UNCHECKED]


def test_a_figure_in_bits_per_byte_alone_is_explained_by_the_bytes_of_what_was_scored() -> None:
    counts = RNG.integers(1, 6, TARGETS)
    losses = RNG.random(TARGETS) + 3
    bpb = losses.sum() / (np.log(2) * counts.sum())
    marks = [(1, "final val_loss:3.9"), (2, f"final_ngram val_bpb:{bpb:.6f}")]
    tape = recording([(0, losses + 0.5), (1, losses)], marks)
    metric = Metric("final_ngram", None, round(bpb, 6), digits=6)
    (found,) = stages((metric,), (tape,), TARGETS, counts)
    assert found.in_bits and found.explained is not None and np.array_equal(found.explained.losses, losses)
    assert found.metric.val_loss == pytest.approx(losses.mean())
    assert stages((metric,), (tape,), TARGETS) == ()


def test_a_figure_in_bits_alone_whose_losses_were_not_seen_is_held_to_the_floor_with_room_for_its_bytes() -> None:
    targets, tape = 4000, recording([(1, np.zeros(1))], [])
    stream = Source("spike").draw(targets + 1, 1)
    verdicts = []
    for share in (1.001, 0.9):
        metric = Metric("final_ngram", None, share * stream.entropy / (2 * np.log(2)), digits=6)
        (found,) = stages((metric,), (tape,), targets, np.full(targets, 2))
        assert found.explained is None
        verdicts.append(check_floor(found, stream).status)
    assert verdicts == [Status.HOLDS, Status.BREACH]


def test_two_sums_in_one_line_are_two_sites() -> None:
    tape = Tape(Alignment(Source("spike").draw(4000, 1).tokens))
    for _ in range(2):
        tape.vector("sum", np.ones(3), depth=1); tape.vector("sum", np.zeros(2), depth=1)  # fmt: skip  # noqa: E702
    assert [site for _, site, _, _ in tape._events] == [0, 1, 0, 1]
