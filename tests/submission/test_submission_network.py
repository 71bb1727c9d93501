"""Log-probabilities of targets and entropies, computed without keeping a whole batch of logits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from submission.data import ByteTable
from submission.evaluate.ledger import ScoreLedger
from submission.evaluate.network import PIECE, one_shape, scored_features, target_log_probs, token_rows
from submission.evaluate.windows import Window
from submission.model import GPT


def rows_of(logits, tokens, table, bound=30.0, temperature=1.0):
    """Log-probability of the next token and entropy at each position, by ``target_log_probs``."""
    ledger = ScoreLedger(tokens, table)
    spans = [(0, len(tokens) - 1)]
    return target_log_probs(logits, spans, ledger, lambda f: f, bound=bound, temperature=temperature, entropy=True)


@given(
    st.lists(st.lists(st.floats(-30, 30, width=32), min_size=5, max_size=5), min_size=1, max_size=4),
    st.sampled_from([30.0, math.inf]),
)
def test_log_probabilities_and_entropy_are_those_of_the_softmax(rows, bound):
    logits = torch.tensor(rows)
    table = ByteTable(np.full(5, 2, np.int16), np.zeros(5, np.bool_), np.zeros(5, np.bool_))
    tokens = np.arange(len(rows) + 1, dtype=np.uint16)
    found = rows_of(logits, tokens, table, bound).double()
    log_probs = logits.double().log_softmax(-1)
    assert torch.allclose(found[:, 0], log_probs[range(len(rows)), range(1, len(rows) + 1)], atol=1e-5)
    assert torch.allclose(found[:, 1], -(log_probs.exp() * log_probs).sum(-1), atol=2e-5)


def test_logits_without_a_bound_may_be_large(table):
    logits = torch.full((1, 64), -1000.0)
    logits[0, 3] = 1000.0
    assert rows_of(logits, np.array([2, 3], np.uint16), table, math.inf).tolist() == [[0.0, 0.0]]
    assert rows_of(-logits, np.array([2, 4], np.uint16), table, math.inf)[0, 1] == pytest.approx(math.log(63))


def test_pieces_give_what_the_whole_gives(table):
    count = 3 * PIECE + 5
    tokens = np.arange(count + 1, dtype=np.uint16) % 60
    logits = torch.randn(count, 64, generator=torch.Generator().manual_seed(0))
    rows = target_log_probs(
        logits, [(0, 100), (100, count)], ScoreLedger(tokens, table), lambda f: f, bound=9.0, entropy=True
    )
    log_probs = logits.log_softmax(-1)
    targets = torch.from_numpy(tokens[1:].astype(np.int64))
    assert torch.allclose(rows[:, 0], log_probs[torch.arange(count), targets], atol=1e-5)
    assert torch.allclose(rows[:, 1], -(log_probs.exp() * log_probs).sum(-1), atol=1e-5)


def test_a_batch_padded_to_one_shape_has_the_same_features(small, tokens, table):
    torch.manual_seed(0)
    model = GPT(small).eval()
    windows = [Window(0, 0, 16), Window(8, 12, 20)]
    inputs = token_rows(ScoreLedger(tokens, table), windows)
    shapes = []

    def hidden(batch):
        shapes.append(tuple(batch.shape))
        return model.hidden(batch)

    with torch.no_grad():
        padded = one_shape(hidden, 4, 32)(inputs)
        expected = model.hidden(inputs)
    assert shapes == [(4, 32)]
    assert torch.allclose(padded, expected, atol=1e-6)
    assert scored_features(padded, windows).shape == (16 + 8, 32)
