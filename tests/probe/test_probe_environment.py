"""The environment that a trainer sees: its own, with sizes made small when it asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from audit.probe.child.environment import Environment
from audit.probe.shrink import Toy, toy_value


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    before = dict(os.environ)  # the sizes it hands out stay in the process: other tests must not see them
    monkeypatch.setenv("TRAIN_SEQ_LEN", "2048")
    monkeypatch.setenv("TTT_LR", "0.002")
    monkeypatch.delenv("MODEL_DIM", raising=False)
    yield Environment(os.environ, lambda name, value: toy_value(name, value, Toy()))
    os.environ.clear()
    os.environ.update(before)


def test_a_size_is_small_however_it_is_asked_for(environment: Environment) -> None:
    assert environment.get("TRAIN_SEQ_LEN", "1024") == environment["TRAIN_SEQ_LEN"] == "128"
    assert environment.get("MODEL_DIM", 512) == 64 and environment.get("MODEL_DIM", "512") == "64"
    assert "MODEL_DIM" in environment and environment["MODEL_DIM"] == "64"


def test_what_is_no_size_is_as_submitted(environment: Environment) -> None:
    assert environment["TTT_LR"] == "0.002" and environment.get("SLOT_ENABLED", "0") == "0"
    assert "SLOT_ENABLED" not in environment
    with pytest.raises(KeyError):
        environment["SLOT_ENABLED"]


def test_what_the_trainer_sets_itself_stays(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_DIM", "512")
    environment["MODEL_DIM"] = "256"
    assert environment["MODEL_DIM"] == "256"


def test_what_was_asked_and_given_is_kept(environment: Environment) -> None:
    environment.get("TRAIN_SEQ_LEN", "1024")
    assert environment.asked["TRAIN_SEQ_LEN"] == ("2048", "128")
