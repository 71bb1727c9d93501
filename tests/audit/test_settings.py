# ruff: noqa: E501
"""The submitted configuration: defaults, then the run command, then what the logs print; nothing is run."""

from __future__ import annotations

import ast
import json

import pytest

from audit.constants.values import Unknown
from audit.settings import resolve
from audit.source import read_sources
from reproduce.folder import open_folder

HEAD = "import os\nimport torch\n\n"
CLASS = """class Hyperparameters:
    ngram_order = int(os.environ.get("NGRAM_ORDER", 0))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
    alpha = float(os.environ.get("ALPHA", 0.3))
    mode = os.environ.get("MODE", "fast").lower()
    stride = 64
    seed = int(os.environ.get("SEED", 1337))
"""


@pytest.fixture
def configured(tmp_path):
    """Writes a submission and gives its settings and its trainer module."""

    def make(
        code: str, readme: str = "", logs: dict[str, str] | None = None, metadata: dict | None = None, **more: str
    ):
        (tmp_path / "train_gpt.py").write_text(HEAD + code)
        (tmp_path / "submission.json").write_text(json.dumps(metadata or {}))
        if readme:
            (tmp_path / "README.md").write_text(readme)
        for name, text in {**(logs or {}), **more}.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        folder = open_folder(tmp_path)
        modules = read_sources(folder)
        return resolve(folder, modules), modules[0]

    return make


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def run(*assignments: str) -> str:
    return "# Run\n```bash\n" + " ".join(assignments) + " torchrun --nproc_per_node=8 train_gpt.py\n```\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("args.ngram_order", 0),
        ("args.ngram_order >= 2", False),
        ("args.ngram_order > 0 and anything()", False),
        ("anything() and args.ngram_order", False),
        ("args.ttt_enabled or anything()", True),
        ("not args.ttt_enabled", False),
        ("args.alpha * 2", 0.6),
        ("args.mode == 'fast'", True),
        ("h.stride // 2", 32),
        ("Hyperparameters.stride", 64),
        ("Hyperparameters().stride", 64),
        ("self.args.ngram_order", 0),
        ("os.environ.get('UNSET', '0') == '1'", False),
        ("bool(int(os.environ.get('NGRAM_ORDER', '0')))", False),
        ("1 if args.ngram_order else 2", 2),
        ("args.mode in ('slow', 'fast')", True),
    ],
)
def test_expressions_over_the_defaults_fold(configured, text, value):
    settings, module = configured(CLASS)
    assert settings.fold(expression(text), module) == value


@pytest.mark.parametrize(
    "text", ["args.unknown", "x > 0", "len(data)", "args.unknown == 0", "torch.cuda.is_available()", "not torch"]
)
def test_what_is_not_configured_stays_unknown(configured, text):
    settings, module = configured(CLASS)
    assert isinstance(settings.fold(expression(text), module), Unknown)


def test_the_run_command_overrides_a_default_and_is_named(configured):
    settings, _ = configured(CLASS, run("NGRAM_ORDER=7", "TTT_ENABLED=0"))
    assert settings.attribute("ngram_order") == 7 and settings.attribute("ttt_enabled") is False
    assert settings.explain("ngram_order") == "ngram_order=7 (NGRAM_ORDER=7, README.md line 3)"
    assert settings.explain("alpha") == "alpha=0.3 (default in train_gpt.py line 7)"


def test_submission_json_gives_the_environment_where_no_command_does(configured):
    settings, _ = configured(CLASS, metadata={"env_vars": {"NGRAM_ORDER": 5, "TTT_ENABLED": False}})
    assert settings.attribute("ngram_order") == 5 and settings.attribute("ttt_enabled") is False


def test_a_dump_in_a_log_overrides_the_run_command_and_the_contradiction_is_told(configured):
    dump = "Hyperparameters:\n  alpha: 0.5\n  mode: fast\n  ngram_order: 0\n  seed: 42\n  stride: 64\n  ttt_enabled: False\nstep:1/9\n"
    settings, _ = configured(CLASS, run("NGRAM_ORDER=7"), {"train_seed42.log": dump})
    assert settings.attribute("ngram_order") == 0 and settings.environment["NGRAM_ORDER"] == "0"
    assert settings.attribute("ttt_enabled") is False and settings.environment["TTT_ENABLED"] == "0"
    assert settings.explain("alpha") == "alpha=0.5 (ALPHA=0.5, train_seed42.log line 2)"
    assert settings.conflicts == (
        "ngram_order: train_seed42.log line 4 prints 0, against NGRAM_ORDER=7 (README.md line 3)",
    )


def test_a_figure_the_trainer_prints_by_name_counts(configured):
    code = (
        CLASS
        + 'def main(args):\n    print(f"order:{args.ngram_order} alpha:{args.alpha} ngram_order:{args.ngram_order}")\n'
    )
    settings, _ = configured(code, logs={"train.log": "order:3 alpha:0.9 ngram_order:5\n"})
    assert settings.attribute("ngram_order") == 5 and settings.attribute("alpha") == 0.9


def test_a_figure_that_only_happens_to_fit_a_name_does_not_count(configured):
    settings, _ = configured(CLASS, logs={"train.log": "alpha:0.9 final stride:1\n"})
    assert settings.attribute("alpha") == 0.3 and settings.attribute("stride") == 64


def test_a_source_that_the_log_prints_is_not_a_dump(configured):
    source = "".join(f"    x{i} = {i}\n" for i in range(9))
    code = "class Hyperparameters:\n" + source
    log = (HEAD + code).replace("x3 = 3", "x3 = 3") + "step:1/5\nx3: 8\n"
    settings, _ = configured(code, logs={"train.log": log})
    assert settings.attribute("x3") == 3


def test_logs_of_different_seeds_agree_on_all_but_the_seed(configured):
    def log(seed: int, order: int) -> str:
        return (
            f"  alpha: 0.3\n  mode: fast\n  ngram_order: {order}\n  seed: {seed}\n  stride: 64\n  ttt_enabled: True\n"
        )

    settings, _ = configured(CLASS, logs={"seed_1.log": log(1, 4), "seed_2.log": log(2, 4), "seed_3.log": log(3, 6)})
    assert settings.attribute("ngram_order") == 4
    assert settings.conflicts == ("ngram_order: the logs print different values (4, 6)",)


@pytest.mark.parametrize(
    "code",
    [
        "def env_int(name, default):\n    return int(os.environ.get(name, default))\n\nclass C:\n    order = env_int('ORDER', 1)\n",
        "from os import getenv as g\nclass C:\n    order = int(g('ORDER') or 1)\n",
        "E = os.environ.get\nclass C:\n    order: int = int(E('ORDER', '1'))\n",
        "class C:\n    def __init__(self):\n        self.order = int(os.environ.get('ORDER', 1))\n\nargs = C()\n",
        "from dataclasses import dataclass, field\n@dataclass\nclass C:\n    order: int = field(default_factory=lambda: int(os.getenv('ORDER', '1')))\n",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    order: int = 1\n\nargs = C(order=int(os.environ['ORDER']))\n",
        "from types import SimpleNamespace\nargs = SimpleNamespace(order=int(os.environ.get('ORDER', 1)))\n",
        "os.environ.setdefault('ORDER', '1')\nclass C:\n    order = int(os.environ['ORDER'])\n",
        "class B:\n    order = int(os.environ.get('ORDER', 1))\nclass C(B):\n    pass\n",
        "class C:\n    order = int(os.environ['ORDER']) if 'ORDER' in os.environ else 1\n",
    ],
)
def test_every_way_of_reading_the_environment_is_followed(configured, code):
    settings, module = configured(code, run("ORDER=7"))
    text = "args.order" if "args =" in code else "C.order"
    assert settings.fold(expression(text), module) == 7


def test_a_tie_between_logs_is_decided_for_the_run_command(configured):
    log = "  alpha: 0.3\n  mode: fast\n  ngram_order: {}\n  stride: 64\n  ttt_enabled: True\n  seed: 1\n"
    logs = {"seed1.log": log.format(3), "seed2.log": log.format(7)}
    settings, _ = configured(CLASS, run("NGRAM_ORDER=7"), logs)
    assert settings.attribute("ngram_order") == 7


def test_a_variable_is_held_to_be_set_only_where_the_program_makes_the_logged_value_of_it(configured):
    code = CLASS + "    half = int(os.environ.get('WHOLE', '8')) // 2\n"
    log = "  alpha: 0.3\n  mode: fast\n  half: 9\n  stride: 64\n  ttt_enabled: True\n  seed: 1\n"
    settings, _ = configured(code, logs={"seed1.log": log})
    assert settings.attribute("half") == 9 and "WHOLE" not in settings.environment


def test_paths_that_differ_between_machines_are_no_conflict(configured):
    code = "class H:\n    data = os.environ.get('DATA', './data')\n" + "".join(f"    x{i} = {i}\n" for i in range(6))
    log = "data: /elsewhere/data\n" + "".join(f"x{i}: {i}\n" for i in range(6))
    settings, _ = configured(code, run("DATA=./here"), {"seed1.log": log})
    assert settings.conflicts == () and settings.attribute("data") == "/elsewhere/data"


def test_argparse_defaults_and_arguments_are_followed(configured):
    code = (
        "import argparse\n\ndef main():\n    p = argparse.ArgumentParser()\n    p.add_argument('--order', type=int, default=3)\n"
        "    p.add_argument('--use-cache', action='store_true')\n    p.add_argument('--alpha', type=float, default=0.5)\n"
        "    args = p.parse_args()\n"
    )
    readme = "```\ntorchrun train_gpt.py --order 9 --use-cache\n```\n"
    settings, module = configured(code, readme)
    assert settings.fold(expression("args.order"), module) == 9
    assert settings.fold(expression("args.use_cache"), module) is True
    assert settings.fold(expression("args.alpha"), module) == 0.5


def test_a_local_assigned_once_is_followed(configured):
    code = (
        CLASS
        + "def main():\n    args = Hyperparameters()\n    order, other = args.ngram_order, 1\n    if order > 1:\n        pass\n"
    )
    settings, module = configured(code)
    function = next(node for node in module.tree.body if isinstance(node, ast.FunctionDef))
    value, because = settings.decide(expression("order > 1"), function)
    assert value is False and [setting.name for setting in because] == ["ngram_order"]


def test_a_local_assigned_twice_is_unknown(configured):
    settings, module = configured(CLASS + "def main(flag):\n    x = 1\n    x = 2\n    y = y + 1\n    return x, y\n")
    function = module.tree.body[-1]
    for name in ("x", "y", "flag"):
        assert isinstance(settings.fold(expression(name), function), Unknown)


def test_an_attribute_that_the_program_changes_later_is_unknown(configured):
    settings, module = configured(CLASS + "def main(args):\n    args.ngram_order = 5\n    args.stride = 64\n")
    assert isinstance(settings.fold(expression("args.ngram_order"), module), Unknown)
    assert settings.fold(expression("args.stride"), module) == 64


def test_a_wrapper_that_sets_the_environment_counts(configured):
    payload = HEAD + CLASS
    code = f"os.environ.setdefault('NGRAM_ORDER', '6')\nos.environ['TTT_ENABLED'] = '0'\nexec({payload!r})\n"
    settings, _ = configured(code)
    assert settings.attribute("ngram_order") == 6 and settings.attribute("ttt_enabled") is False


def test_the_run_command_beats_a_default_that_the_program_sets(configured):
    settings, _ = configured("os.environ.setdefault('NGRAM_ORDER', '6')\n" + CLASS, run("NGRAM_ORDER=2"))
    assert settings.attribute("ngram_order") == 2


def test_two_classes_that_differ_in_an_attribute_give_none(configured):
    settings, module = configured("class A:\n    x = 1\n\nclass B:\n    x = 2\n")
    assert isinstance(settings.fold(expression("args.x"), module), Unknown)
    assert settings.fold(expression("A.x"), module) == 1


def test_a_helper_modules_configuration_is_read(configured):
    code = "from config import Hyperparameters\nargs = Hyperparameters()\n"
    settings, module = configured(code, run("NGRAM_ORDER=4"), config__py="import os\n" + CLASS)
    assert settings.fold(expression("args.ngram_order"), module) == 4


def test_a_cache_switched_off_in_the_readme_is_dead_code(configured):
    code = CLASS + "def main():\n    args = Hyperparameters()\n    if args.ngram_order >= 2:\n        return 1\n"
    settings, module = configured(code.replace('"NGRAM_ORDER", 0', '"NGRAM_ORDER", 9'), run("NGRAM_ORDER=0"))
    function = module.tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    branch = function.body[1]
    assert isinstance(branch, ast.If)
    value, because = settings.decide(branch.test, function)
    assert value is False and str(because[0]) == "ngram_order=0 (NGRAM_ORDER=0, README.md line 3)"
