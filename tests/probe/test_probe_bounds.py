"""The mathematics: lawful predictors stay inside the bounds, unlawful ones do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.probe.bounds import ERROR, capital, floor, implied_bytes, prefix_floor

LAW = np.array([0.5, 0.25, 0.125, 0.125])


def drawn(seed: int, count: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).choice(4, size=count, p=LAW)


distributions = st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4).map(lambda w: np.array(w) / sum(w))


@settings(max_examples=40, deadline=None)
@given(distributions, st.integers(0, 10_000))
def test_no_distribution_gets_below_the_floor_or_wins_the_bet(guess: np.ndarray, seed: int) -> None:
    tokens = drawn(seed)
    paid, price = -np.log(guess[tokens]), -np.log(LAW[tokens])
    assert paid.mean() >= floor(price).bound
    assert not capital(price, paid).breach


@settings(max_examples=40, deadline=None)
@given(distributions, st.integers(0, 10_000), st.integers(0, 10_000))
def test_counting_some_tokens_more_often_does_not_break_the_floor(guess: np.ndarray, seed: int, other: int) -> None:
    tokens, weights = drawn(seed), np.random.default_rng(other).integers(1, 4, 2000).astype(float)
    paid, price = -np.log(guess[tokens]), -np.log(LAW[tokens])
    assert float(paid @ weights / weights.sum()) >= floor(price, weights).bound


def test_a_predictor_that_has_seen_the_tokens_falls_below_the_floor() -> None:
    tokens = drawn(1)
    seen = 0.9 * np.eye(4)[tokens] + 0.1 * LAW
    paid, price = -np.log(seen[np.arange(len(tokens)), tokens]), -np.log(LAW[tokens])
    assert paid.mean() < floor(price).bound and capital(price, paid).breach


def test_excess_mass_is_seen_even_where_the_mean_of_logarithms_hides_it() -> None:
    rng = np.random.default_rng(2)
    price = -np.log(LAW[drawn(2, 20_000)])
    # Half of the tokens get three times their share, the rest a quarter: worse than the source in the mean.
    paid = price - np.log(np.where(rng.random(len(price)) < 0.5, 3.0, 0.25))
    assert paid.mean() > floor(price).price
    bet = capital(price, paid)
    assert bet.breach and bet.mass == pytest.approx(1.625, abs=0.03) and bet.stake < 1


def test_the_mass_of_a_distribution_is_estimated_as_one() -> None:
    price = -np.log(LAW[drawn(3, 50_000)])
    guess = np.array([0.4, 0.3, 0.2, 0.1])
    assert capital(price, -np.log(guess[drawn(3, 50_000)])).mass == pytest.approx(1.0, abs=0.02)


def test_the_margin_is_what_the_inequality_says() -> None:
    limit = floor(np.full(1000, math.log(4)))
    assert limit.bound == pytest.approx(math.log(4) - math.log(1 / ERROR) / 1000)


def test_an_unknown_tail_widens_the_floor() -> None:
    price = -np.log(LAW[drawn(4)])
    assert prefix_floor(price, 128).bound < floor(price).bound


def test_bets_need_a_price_for_every_loss() -> None:
    with pytest.raises(ValueError, match="as many losses as prices"):
        capital(np.zeros(3), np.zeros(2))


def test_nothing_counted_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        floor(np.ones(3), np.zeros(3))


@pytest.mark.parametrize("pair", [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_no_bytes_follow_from_figures_that_are_no_losses(pair: tuple[float, float]) -> None:
    assert implied_bytes(*pair) is None


def test_bytes_follow_from_loss_and_bits_per_byte() -> None:
    assert implied_bytes(2.436 * math.log(2), 1.0) == pytest.approx(2.436)
