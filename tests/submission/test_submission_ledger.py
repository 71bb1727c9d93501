"""The ledger takes each position once, in order, and gives out nothing that is not scored."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from submission.evaluate.ledger import ScoreLedger, UnscoredError
from submission.evaluate.windows import exact_windows, reference_windows


def ledger_of(table, count=9, **options):
    return ScoreLedger(np.arange(2, 2 + count, dtype=np.uint16), table, **options)


def test_the_score_is_the_mean_loss_and_its_bits_a_byte(table):
    ledger = ledger_of(table)
    ledger.record(0, torch.full((8,), 2.0))
    score = ledger.score()
    assert (score.tokens, score.bytes, score.val_loss) == (8, 16, 2.0)
    assert score.val_bpb == pytest.approx(2.0 / math.log(2) / 2)


def test_positions_must_come_in_order(table):
    ledger = ledger_of(table)
    with pytest.raises(UnscoredError, match="position 0 is next"):
        ledger.record(1, torch.ones(2))


def test_no_position_is_scored_twice(table):
    ledger = ledger_of(table)
    ledger.record(0, torch.ones(4))
    with pytest.raises(UnscoredError):
        ledger.record(3, torch.ones(2))


def test_there_is_nothing_beyond_the_end(table):
    with pytest.raises(UnscoredError):
        ledger_of(table).record(0, torch.ones(9))


def test_a_score_of_half_the_split_is_none(table):
    ledger = ledger_of(table)
    ledger.record(0, torch.ones(4))
    with pytest.raises(UnscoredError, match="4 of 8 positions are not scored"):
        ledger.score()


def test_a_token_is_given_to_training_only_after_its_score(table):
    ledger = ledger_of(table)
    ledger.record(0, torch.ones(3))
    assert ledger.scored_tokens(0, 4).tolist() == [2, 3, 4, 5]
    with pytest.raises(UnscoredError):
        ledger.scored_tokens(0, 5)


def test_bytes_of_unscored_targets_are_not_given(table):
    with pytest.raises(UnscoredError):
        ledger_of(table).byte_counts(0, 1)


def test_a_loss_that_is_no_number_is_refused(table):
    with pytest.raises(UnscoredError, match="not a number"):
        ledger_of(table).record(0, torch.tensor([1.0, float("nan")]))


def test_a_loss_below_zero_is_refused(table):
    ledger = ScoreLedger(np.array([2, 3, 4]), table)
    ledger.record(0, torch.tensor([-1e-6]))  # rounding of a certain prediction
    with pytest.raises(UnscoredError, match=">= 0"):
        ledger.record(1, torch.tensor([-0.01]))


def test_targets_are_looked_up_by_the_ledger(table):
    ledger = ledger_of(table)
    log_probs = torch.randn(3, 64).log_softmax(-1)
    picked = ledger.pick_with([(2, 4), (0, 1)], lambda targets: log_probs.gather(1, targets[:, None])[:, 0])
    assert torch.equal(picked, log_probs[torch.arange(3), torch.tensor([5, 6, 3])])


def test_a_look_up_gives_one_row_a_position(table):
    with pytest.raises(UnscoredError, match="1 rows for 3 positions"):
        ledger_of(table).pick_with([(2, 5)], lambda targets: targets.sum()[None])


def test_targets_beyond_the_end_are_refused(table):
    with pytest.raises(UnscoredError, match="of 8"):
        ledger_of(table).pick_with([(7, 9)], lambda targets: targets)


def test_counting_again_needs_the_reference_tail(table):
    ledger = ledger_of(table)
    ledger.record(0, torch.ones(8))
    with pytest.raises(UnscoredError):
        ledger.record_again(6, torch.ones(2))


def test_the_reference_tail_says_what_it_dropped_and_repeated(table):
    ledger = ledger_of(table, allow_tail=True)
    ledger.record(0, torch.ones(6))
    ledger.record_again(4, torch.full((2,), 3.0))
    score = ledger.score()
    assert (score.tokens, score.dropped, score.repeated) == (8, 2, 2)
    assert score.val_loss == pytest.approx(12 / 8)


@given(st.integers(1, 400), st.integers(1, 40), st.data())
def test_exact_windows_score_each_position_once_in_order(total, seq_len, data):
    stride = data.draw(st.integers(1, seq_len))
    windows = exact_windows(total, seq_len, stride)
    scored = [position for w in windows for position in range(w.first, w.stop)]
    assert scored == list(range(total))
    assert all(w.start <= w.first and w.stop - w.start <= seq_len for w in windows)
    assert all(w.first - w.start >= seq_len - stride for w in windows[1:])


def test_reference_windows_drop_the_tail_and_count_the_end_again():
    windows = reference_windows(1034, 1024, 256, shortest=1)
    counts = np.zeros(1034, int)
    for w in windows:
        counts[w.first : w.stop] += 1
    assert counts[1024:].sum() == 0
    assert counts[:768].tolist() == [1] * 768
    assert counts[768:1024].tolist() == [4] * 256


def test_windows_of_pr_700_end_with_one_of_a_stride():
    windows = reference_windows(128, 32, 8, shortest=8)
    assert windows[-1].stop - windows[-1].start == 8
