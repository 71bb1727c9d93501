"""The spread of seeds and the tests against records, checked against scipy and textbook cases."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reproduce.statistics import (
    bpb_to_nats,
    bytes_per_token,
    nats_to_bpb,
    one_sample_below,
    summarise,
    t_quantile,
    welch_below,
)

scores = st.lists(st.floats(min_value=0.5, max_value=2.0), min_size=2, max_size=6).filter(
    lambda v: max(v) - min(v) > 1e-4
)


def test_three_seeds_give_sample_and_population_spread() -> None:
    summary = summarise([1.02011787, 1.01651749, 1.02989637])
    assert summary.mean == pytest.approx(1.02217724)
    assert (round(summary.std or 0, 4), round(summary.population_std or 0, 4)) == (0.0069, 0.0057)


def test_one_seed_has_no_spread() -> None:
    summary = summarise([1.1])
    assert (summary.n, summary.std, summary.low, summary.high) == (1, None, None, None)


def test_nothing_and_nan_cannot_be_summarised() -> None:
    for values in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ValueError):
            summarise(values)


@given(scores)
def test_the_interval_is_students(values: list[float]) -> None:
    summary = summarise(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=summary.mean, scale=stats.sem(values))
    assert summary.low == pytest.approx(low, rel=1e-9)
    assert summary.high == pytest.approx(high, rel=1e-9)


@given(scores, scores)
def test_welch_agrees_with_scipy(ours: list[float], theirs: list[float]) -> None:
    test = welch_below(ours, theirs)
    assert test.p == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False, alternative="less").pvalue, abs=1e-9)


@given(scores, st.floats(min_value=0.5, max_value=2.0))
def test_the_one_sample_test_agrees_with_scipy(ours: list[float], reference: float) -> None:
    test = one_sample_below(ours, reference)
    assert test.p == pytest.approx(stats.ttest_1samp(ours, reference, alternative="less").pvalue, abs=1e-9)


def test_a_margin_makes_the_bar_higher() -> None:
    ours, theirs = [1.00, 1.001, 0.999], [1.01, 1.011, 1.009]
    assert (welch_below(ours, theirs, margin=0.005).p or 0) > (welch_below(ours, theirs).p or 0)


def test_single_values_and_no_spread_give_no_p() -> None:
    assert welch_below([1.0], [1.1, 1.2]).p is None
    assert one_sample_below([1.0], 1.1).p is None
    assert one_sample_below([1.0, 1.0], 1.1).p is None


@given(st.floats(min_value=0.01, max_value=5), st.floats(min_value=0.5, max_value=8))
def test_nats_and_bits_per_byte_convert_back(nats: float, token_bytes: float) -> None:
    bpb = nats_to_bpb(nats, token_bytes)
    assert bpb_to_nats(bpb, token_bytes) == pytest.approx(nats)
    assert bytes_per_token(nats, bpb) == pytest.approx(token_bytes)


def test_the_tabled_quantiles_are_those_of_scipy() -> None:
    from scipy.special import stdtrit

    for degrees in range(1, 13):
        assert t_quantile(degrees) == pytest.approx(float(stdtrit(degrees, 0.975)), rel=1e-10)
