"""The same function gives the same outcomes in this process and in others, whatever an item does to its process."""

from __future__ import annotations

import os

import pytest

from reproduce.errors import InputError
from reproduce.executors import LocalExecutor, RayExecutor, open_executor


def halve(number: int) -> int:
    if number == 13:
        raise InputError("13", "a luckier number")
    if number == 99:
        os._exit(9)  # as a crash of C code or the kernel's memory killer would
    return number // 2


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_are_results_and_errors(workers: int) -> None:
    outcomes = sorted(LocalExecutor(workers).map(halve, [2, 13, 6]), key=lambda outcome: outcome.index)
    assert [outcome.value for outcome in outcomes] == [1, None, 3]
    error = outcomes[1].error
    assert isinstance(error, InputError) and error.expected == "a luckier number"


def test_dying_process_costs_its_own_item_alone() -> None:
    outcomes = sorted(LocalExecutor(2).map(halve, [2, 99, 4, 6, 8]), key=lambda outcome: outcome.index)
    assert [outcome.value for outcome in outcomes] == [1, None, 2, 3, 4]


def test_executor_of_another_name_is_refused() -> None:
    with pytest.raises(InputError, match="local or ray"):
        open_executor("slurm")


def test_ray_that_is_not_installed_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match=r"golfproof\[ray\]"):
        RayExecutor().connect()
