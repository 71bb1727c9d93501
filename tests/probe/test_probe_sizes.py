"""Sizes that a program takes as options or fixes in its code, and the ways tried to reach a published stage."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.probe.child.arguments import Arguments, name_of
from audit.probe.child.constants import smaller
from audit.probe.runs import published_among, published_stages, submitted
from audit.probe.shrink import Toy, fixed_value, toy_value
from reproduce.folder import open_folder

TOY = Toy()


def toy(name: str, value: str | None) -> str | None:
    return toy_value(name, value, TOY)


def anywhere(name: str, value: str | None) -> str | None:
    return fixed_value(name, value, TOY)


def changed(text: str) -> str:
    tree = ast.parse(text)
    smaller(tree, toy, anywhere)
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("text", "small"),
    [
        ("TRAIN_SEQ_LEN = 2 ** 11", "TRAIN_SEQ_LEN = 128"),
        ("class H:\n    train_batch_tokens = 786_432", "class H:\n    train_batch_tokens = 2048"),
        ("class H:\n    model_dim: int = 512", "class H:\n    model_dim: int = 64"),
        ("c = Config(n_embd=768, n_head=12, seq_len=1024)", "c = Config(n_embd=64, n_head=4, seq_len=128)"),
        ("c = {'d_model': 512, 'n_heads': 8, 'seq_len': 1024}", "c = {'d_model': 64, 'n_heads': 4, 'seq_len': 128}"),
        ("def run():\n    ema_decay = 0.997", "def run():\n    ema_decay = 0.5"),
        ("def f(self, num_buckets: int=1 << 22):\n    self.TRI_HASH = 65536",
         "def f(self, num_buckets: int=4096):\n    self.TRI_HASH = 4096"),
        ("m = mixer(buckets=4194304)", "m = mixer(buckets=4096)"),
    ],
)  # fmt: skip
def test_sizes_that_stand_in_the_code_are_made_small(text: str, small: str) -> None:
    assert changed(text) == small


@pytest.mark.parametrize(
    "text",
    [
        "train_seq_len = 2048",  # a variable of the module, not a constant
        "class H:\n    matrix_lr = 0.025\n    ttt_epochs = 3",
        "def f():\n    seq_len = 1024",
        "x = view(seq_len=1024)",
        "x = {'seq_len': 1024}",
        "ema_decay = args.decay",
        "buckets = 2048",
        "class H:\n    use_ema = True",
    ],
)
def test_what_is_no_size_of_a_configuration_stays(text: str) -> None:
    assert changed(text) == text


def test_what_was_made_small_is_told() -> None:
    tree = ast.parse("SEQ_LEN = 1024\nx = Config(dim=512)\n")
    assert smaller(tree, toy, anywhere) == {"SEQ_LEN": ("1024", "128")}


@pytest.fixture
def parsers() -> Iterator[Arguments]:
    add, parse = argparse._ActionsContainer.add_argument, argparse.ArgumentParser.parse_known_args
    arguments = Arguments(toy)
    arguments.install()
    yield arguments
    argparse._ActionsContainer.add_argument = add  # type: ignore[method-assign]
    argparse.ArgumentParser.parse_known_args = parse  # type: ignore[method-assign]


def test_options_are_small_by_default_and_where_they_are_given(parsers: Arguments) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ctx_len", type=int, default=1024)
    parser.add_argument("--batch-tokens", type=int, default=524288)
    parser.add_argument("-s", "--seed", type=int, default=42)
    parser.add_argument("--n_embd", type=int, default=None)
    parser.add_argument("--no-slot", action="store_true", default=0)
    read = parser.parse_args(["--ctx_len", "4096", "--seed", "1024"])
    assert (read.ctx_len, read.batch_tokens, read.seed, read.n_embd, read.no_slot) == (128, 2048, 1024, None, 0)
    assert parser.parse_args(["--batch-tokens=65536"]).batch_tokens == 2048
    assert parsers.asked["--ctx_len"] == ("1024", "128") and name_of("--batch-tokens") == "BATCH_TOKENS"


def test_a_stage_is_the_same_with_other_sizes_in_its_name() -> None:
    assert published_among(("final_sliding_window+slot32steps",), {"final_sliding_window+slot8steps"})
    assert not published_among(("final_int6_sliding_window_s64",), {"final_int6_sliding_window"})
    assert published_among(("final_ttt_T0.98", "final_ttt_s0"), {"final_ttt_s0"})
    assert published_among((), set()) and not published_among(("final",), set())


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    (tmp_path / "train_gpt.py").write_text("import os\nSEED = int(os.environ.get('SEED', '1337'))\n")
    return tmp_path


def test_every_log_s_result_is_a_published_stage(entry: Path) -> None:
    for seed, stage in ((1, "final_ttt_s0"), (2, "final_ttt_T0.98")):
        text = f"seed:{seed}\n{stage}_exact val_loss:1.88000000 val_bpb:1.11000000\n"
        (entry / f"train_seed{seed}.log").write_text(text)
    assert set(published_stages(open_folder(entry))) == {"final_ttt_s0", "final_ttt_T0.98"}


def test_a_variable_that_the_run_command_leaves_open_is_filled(entry: Path) -> None:
    command = 'torchrun train_gpt.py --seed "${seed}" --run-name ${NAME} 2>&1 | tee x.log'
    (entry / "README.md").write_text(f"```bash\n{command}\n```\n")
    assert submitted(open_folder(entry))[1] == ("--seed", "1337", "--run-name", "probe")
