"""The walk through a program: what it folds, follows across calls, repeats, leaves out and gives up on."""

from __future__ import annotations

import ast

import pytest

from audit.events import Event, Timeline
from audit.interpret.interpreter import Interpreter
from audit.provenance import INPUT, NLL, PAST, TARGET, TRAIN, VAL
from audit.source import Module

HEAD = """
import glob, os
import numpy as np
import torch
import torch.nn.functional as F
val = torch.from_numpy(np.fromfile(glob.glob("fineweb_val_*.bin")[0], dtype=np.uint16))
train = torch.from_numpy(np.fromfile(glob.glob("fineweb_train_*.bin")[0], dtype=np.uint16))
"""


def walk(body: str, environment: dict[str, str] | None = None, limit: int = 20_000) -> Timeline:
    module = Module("train_gpt.py", HEAD + body, ast.parse(HEAD + body))
    return Interpreter([module], module, environment or {}, limit=limit).run()


def printed(timeline: Timeline) -> dict[str, Event]:
    return {event.text: event for event in timeline.of("report")}


def test_slices_tell_target_from_input_and_past() -> None:
    told = printed(
        walk(
            """
for at in range(0, len(val), 64):
    piece = val[at:at + 65]
    print("first", piece[:-1].item())
    print("next", piece[1:].item())
    print("back", val[at - 3].item())
"""
        )
    )
    assert told["first"].value.bits & (INPUT | TARGET) == INPUT
    assert told["next"].value.bits & (INPUT | TARGET) == TARGET
    assert told["back"].value.bits & PAST


def test_a_setting_asked_for_with_a_fallback_decides_a_branch() -> None:
    timeline = walk(
        """
class Settings:
    wide = int(os.environ.get("WIDE", 0))
settings = Settings()
print("wide" if getattr(settings, "wide", True) else "narrow")
print("tall" if getattr(settings, "tall", True) else "short")
""",
        {"WIDE": "0"},
    )
    assert [event.text for event in timeline.of("report")] == ["narrow", "tall"]


def test_a_data_path_that_the_log_prints_still_stands_for_the_validation_data() -> None:
    text = """
import numpy as np
class Settings:
    held = "here/fineweb_val_0.bin"
print("data", np.fromfile(Settings.held))
"""
    module = Module("train_gpt.py", text, ast.parse(text))
    told = printed(Interpreter([module], module, {}, attributes={"held": "there/fineweb_val_0.bin"}).run())
    assert told["data"].value.bits & VAL


def test_a_progress_bar_goes_over_what_it_shows() -> None:
    timeline = walk(
        """
from tqdm import tqdm
for at in tqdm(range(3)):
    print("round", val[at:at + 9])
"""
    )
    assert timeline.gaps == []
    assert [loop.times for loop in next(timeline.of("report")).loops] == [3]


def test_provenance_passes_through_containers_closures_and_keywords() -> None:
    told = printed(
        walk(
            """
def outer(*, tokens):
    kept = {"a": [tokens]}
    def inner():
        return kept["a"][0]
    return inner
print("value", outer(tokens=val)())
"""
        )
    )
    assert told["value"].value.bits & VAL
    assert not told["value"].value.bits & TRAIN


def test_a_branch_that_the_environment_switches_off_is_inactive() -> None:
    body = """
if int(os.environ.get("USE", "0")):
    print("on", val)
else:
    print("off", train)
"""
    assert not printed(walk(body))["on"].active
    assert "USE" in printed(walk(body))["on"].because
    assert printed(walk(body, {"USE": "1"}))["on"].active


def test_a_loop_learns_what_it_carries_before_it_is_recorded() -> None:
    told = printed(walk("seen = None\nfor i in range(9):\n    print('seen', seen)\n    seen = val[i]\n"))
    assert told["seen"].value.bits & VAL


def test_a_loop_that_never_runs_does_nothing() -> None:
    assert not list(walk("for i in range(0):\n    print('never', val)\n").of("report"))


def test_losses_at_validation_targets_are_scores_in_program_order() -> None:
    timeline = walk(
        """
total = 0.0
for at in range(0, len(val), 64):
    piece = val[at:at + 65]
    total += F.cross_entropy(torch.randn(64, 8), piece[1:]).item()
print("sum", total)
"""
    )
    (score,) = timeline.of("score")
    assert printed(timeline)["sum"].value.bits & score.bit
    assert score.value.bits & NLL


def test_what_is_done_to_a_deep_copy_leaves_the_original() -> None:
    told = printed(
        walk(
            """
import copy
class Box:
    def __init__(self):
        self.held = 0
box = Box()
twin = copy.deepcopy(box)
twin.held = val
print("original", box.held)
print("copy", twin.held)
"""
        )
    )
    assert not told["original"].value.bits & VAL
    assert told["copy"].value.bits & VAL


def test_a_stage_that_trains_its_own_copy_leaves_the_next_stage_untouched() -> None:
    timeline = walk(
        """
import copy
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(8, 64)
    def forward(self, ids):
        return self.head(ids)
model = Net()
for stage in ("first", "second"):
    mine = copy.deepcopy(model)
    fit = torch.optim.SGD(mine.parameters(), lr=0.1)
    for at in range(0, len(val) - 65, 64):
        x, y = val[at:at + 64], val[at + 1:at + 65]
        loss = F.cross_entropy(mine(x), y)
        total = loss.item()
        loss.backward()
        fit.step()
"""
    )
    first, second = timeline.of("step")
    losses = list(timeline.of("nll"))
    assert not losses[-1].value.bits & first.bit
    assert losses[-1].value.bits & second.bit


def test_the_budget_ends_a_walk_and_says_so() -> None:
    timeline = walk(
        "def f(n):\n    return g(n) + g(n)\ndef g(n):\n    return f(n) + f(n)\n" + "f(1)\n" * 400, limit=300
    )
    assert any("stopped after 300 steps" in gap for gap in timeline.gaps)


def test_recursion_ends() -> None:
    assert walk("def f(n):\n    return f(n - 1)\nprint('end', f(9))\n").gaps == []


@pytest.mark.parametrize(
    "body",
    [
        "x = 10 ** 10 ** 10",
        "x = 'a' * 10 ** 12",
        "x = 1 << 10 ** 9",
        "x = '{:>999999999}'.format('a')",
        "x = [0] * 10 ** 12",
        "while True:\n    pass",
        "x = ('a' * 9999).replace('a', 'b' * 9999)",
    ],
)
def test_hostile_constants_cost_nothing(body: str) -> None:
    assert walk(body).gaps == []


def test_of_an_empty_list_and_a_full_one_the_full_one_is_gone_over() -> None:
    timeline = walk(
        """
def parts(total):
    if total <= 1:
        return []
    return [(0, total)]
for start, end in parts(val.numel()):
    print("part", val[start:end].sum())
"""
    )
    assert [event.text.split()[0] for event in timeline.of("report")] == ["part"]
