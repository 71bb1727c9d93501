"""What the logs of several runs witness: a branch that only some of them took is not the submitted one."""

from __future__ import annotations

import ast

from audit.interpret.interpreter import Interpreter
from audit.provenance import TRAIN, VAL
from audit.source import Module
from audit.witness import Witness, silence

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


PRINTS = """
def log(text):
    print(text, flush=True)

def second_way(held):
    log("second way begins with a fresh table")
    return evaluate(held)

def main():
    log("reads the shards of the data folder")
    log("reads the tokenizer and its pieces")
    score = second_way(HELD)
"""
BODY = """
import glob
import numpy as np
import torch
import torch.nn.functional as F
HELD = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16))

def evaluate(held):
    return F.cross_entropy(held[:-1].float(), held[1:])
"""
LOG = "reads the shards of the data folder\nreads the tokenizer and its pieces\n{more}final 1.1\n" + "x\n" * 6


def losses(log: str, code: str) -> list[bool]:
    text = BODY + code + "main()\n"
    module = Module("train_gpt.py", text, ast.parse(text))
    witness = Witness([log], complete=True)
    timeline = Interpreter([module], module, {}, witness=witness).run()
    silence(timeline, witness)
    return [event.active for event in timeline.of("nll")]


def test_a_call_whose_text_no_log_shows_was_not_run() -> None:
    apart = PRINTS.replace("    score", "    if HELD.numel() > 9:\n        score")
    assert losses(LOG.format(more=""), apart) == [False]
    assert losses(LOG.format(more="second way begins with a fresh table\n"), apart) == [True]


def test_a_call_beside_a_text_that_the_logs_show_was_run_whatever_it_prints_itself() -> None:
    assert losses(LOG.format(more=""), PRINTS) == [True]


def test_a_text_that_other_lines_print_too_is_no_sign_of_the_branch_that_names_it() -> None:
    named = """
def log(text):
    print(text, flush=True)

def main():
    log("reads the shards of fineweb_val_*.bin")
    name = "fineweb_val_*.bin" if False else "fineweb_train_*.bin"
    tokens = torch.from_numpy(np.fromfile(glob.glob(name)[0], dtype=np.uint16))
    print(F.cross_entropy(tokens[:-1].float(), tokens[1:]))
"""
    module = Module("train_gpt.py", BODY + named + "main()\n", ast.parse(BODY + named + "main()\n"))
    log = "reads the shards of fineweb_val_*.bin\nfinal 1.1\n" + "x\n" * 6
    timeline = Interpreter([module], module, {}, witness=Witness([log], complete=True)).run()
    assert [event.value.bits & (VAL | TRAIN) for event in timeline.of("nll")] == [TRAIN]


def test_a_branch_that_the_clock_decides_did_not_run_where_no_log_shows_its_text() -> None:
    timed = PRINTS.replace(
        "    score = second_way(HELD)",
        """    log("trains until the time is over")
    for step in range(100):
        if time.perf_counter() > 9.0:
            log("the second way begins")
            score = evaluate(HELD)""",
    )
    text = "import time\n" + timed
    shown = "reads the shards of the data folder\nreads the tokenizer and its pieces\ntrains until the time is over\n"
    log = shown + "{more}final 1.1\n" + "x\n" * 6
    assert losses(log.format(more=""), text) == [False]
    assert losses(log.format(more="the second way begins\n"), text) == [True]
