"""What the logs of a submission tell of its switches, where a run of ours says otherwise."""

from __future__ import annotations

import pytest

from audit.probe.switches import contradicted, told, words

CODE = {'log0("ttt:start")', "use_ngram = 1"}
SAME = "step:1 loss:3 ms\nfinal val_loss:1.0 time:3\nserialized model 10 bytes\n"
WITH_CACHE = told(SAME + "ngram_cache:enabled alpha=0.4\n", CODE)
WITH_TTT = told(SAME + "ttt:start lr=0.1\nttt epoch 1/2\n", CODE)


def test_a_switch_that_the_logs_show_on_is_put_on_and_one_they_do_not_know_off() -> None:
    asked = {"TTT_ENABLED": "1", "NGRAM_CACHE": "0"}
    assert contradicted(asked, [WITH_CACHE, WITH_CACHE], WITH_TTT) == {"TTT_ENABLED": "0", "NGRAM_CACHE": "1"}


@pytest.mark.parametrize(
    ("asked", "theirs"),
    [
        ({"TTT_ENABLED": "1", "NGRAM_CACHE": "0"}, []),  # no log, no evidence
        ({"TTT_ENABLED": "1"}, [WITH_CACHE, WITH_TTT]),  # logs that disagree
        ({"NGRAM_CACHE": "0"}, [WITH_CACHE, WITH_TTT]),
        ({"TTT_EPOCHS": "1", "TTT_LR": "1", "TTT_MODE": "first", "NGRAM_ALPHA": "0"}, [WITH_CACHE]),  # no switches
        ({"TTT_ENABLED": "1"}, [told("final 1\nother lines\n", CODE)]),  # of another program
        ({"SWA_ENABLED": "1"}, [WITH_CACHE]),  # the run tells nothing of it either
    ],
)
def test_what_the_logs_do_not_settle_stays(asked: dict[str, str], theirs: list[list[frozenset[str]]]) -> None:
    assert contradicted(asked, theirs, WITH_TTT) == {}


def test_lines_of_code_and_lines_that_say_off_tell_nothing() -> None:
    log = 'log0("ttt:start")\nttt_enabled: False\nslot:0\nswa_enabled: True\nlate_qat: 1 freeze_blocks=0\n'
    assert told(log, CODE) == [frozenset({"late", "qat"})]


def test_a_name_is_about_what_is_not_hollow() -> None:
    assert words("USE_TTT") == words("TTT_ENABLED") == {"ttt"} and words("NGRAM_CACHE") == {"ngram", "cache"}
    assert words("TTT_EPOCHS") == words("EVAL_ENABLED") == words("SKIP_FINAL_EVAL") == frozenset()
