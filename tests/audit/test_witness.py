"""What the logs of several runs witness: a branch that only some of them took is not the submitted one."""

from __future__ import annotations

from audit.witness import Witness

EVALUATED = "skipping training, the saved artifact is loaded\nfinal 1.1\n" + "x\n" * 6
TRAINED = "training begins with the first shard\nfinal 1.1\n" + "x\n" * 6


def test_a_text_of_fewer_than_half_of_the_logs_is_seen_but_not_often() -> None:
    witness = Witness([EVALUATED, TRAINED, TRAINED], complete=True)
    assert witness.saw("skipping training, the saved artifact is loaded")
    assert not witness.saw_often("skipping training, the saved artifact is loaded")


def test_a_text_of_half_of_the_logs_is_seen_often() -> None:
    witness = Witness([EVALUATED, TRAINED], complete=True)
    assert witness.saw_often("training begins with the first shard")


def test_a_text_too_short_to_tell_is_never_seen_often() -> None:
    assert not Witness([TRAINED], complete=True).saw_often("x\0")
