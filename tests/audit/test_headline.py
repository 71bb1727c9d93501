"""Which score a submission reports: options that choose what runs, code that its folder lacks."""

from __future__ import annotations

from pathlib import Path

from audit.case import Case
from audit.rules.examples import EVALUATION
from reproduce.folder import open_folder

MODES = EVALUATION.replace(
    """

if __name__ == "__main__":
    main()
""",
    """

if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--score", action="store_true")
    parser.add_argument("--rounds", type=int, default=0)
    options = parser.parse_args()
    if options.score:
        main()
""",
)


def case(folder: Path, trainer: str, readme: str = "") -> Case:
    (folder / "train_gpt.py").write_text(trainer, encoding="utf-8")
    if readme:
        (folder / "README.md").write_text(readme, encoding="utf-8")
    return Case(open_folder(folder))


def test_an_option_of_the_run_command_chooses_what_runs(tmp_path: Path) -> None:
    run = "# Run\n```bash\ntorchrun --nproc_per_node=8 train_gpt.py --score\n```\n"
    read = case(tmp_path, MODES, run)
    assert read.headline.report is not None
    assert read.gaps() == []


def test_an_option_that_a_log_prints_chooses_what_runs(tmp_path: Path) -> None:
    asked = MODES.replace("    if options.score:", "    print(f'rounds: {options.rounds}')\n    if options.rounds:")
    (tmp_path / "train_seed42.log").write_text("rounds: 3\nfinal_exact val_loss:2.1 val_bpb:1.2\n", encoding="utf-8")
    assert case(tmp_path, asked).headline.report is not None


BUNDLE = """
import sys
import types


def install(name, source):
    made = types.ModuleType(name)
    sys.modules[name] = made
    exec(compile(source, f"<{{name}}>", "exec"), made.__dict__)


install("entry.scoring", {source!r})
from entry.scoring import evaluate
"""


def test_modules_that_a_script_makes_of_its_own_texts_are_followed(tmp_path: Path) -> None:
    start, end = EVALUATION.index("def evaluate"), EVALUATION.index("def main")
    scoring = "import math\nimport torch\nimport torch.nn.functional as F\n\n\n" + EVALUATION[start:end]
    trainer = EVALUATION[:start] + BUNDLE.format(source=scoring) + EVALUATION[end:]
    read = case(tmp_path, trainer)
    assert read.headline.report is not None
    assert {loss.file for loss in read.headline.losses} == {"train_gpt.py!1"}
    assert read.gaps() == []


NOT_FOUND = "no report of a validation score was found"


def test_losses_behind_an_option_that_nobody_gave_are_named(tmp_path: Path) -> None:
    assert case(tmp_path, MODES).gaps() == [
        f"{NOT_FOUND}; its losses on validation tokens are switched off by options.score"
    ]


def test_a_loss_that_is_not_printed_is_named(tmp_path: Path) -> None:
    quiet = EVALUATION.replace('print(f"final_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")', "pass")
    assert quiet != EVALUATION
    (gap,) = case(tmp_path, quiet).gaps()
    assert gap.startswith(f"{NOT_FOUND}; a loss on validation tokens is taken (train_gpt.py:")


def test_a_program_whose_code_lies_elsewhere_says_which(tmp_path: Path) -> None:
    assert case(tmp_path, "from my_other_entry import main\nmain()\n").gaps() == [
        f"{NOT_FOUND}; it runs code that is not in the folder: my_other_entry"
    ]


def test_a_program_that_leaves_the_work_to_others_says_where(tmp_path: Path) -> None:
    gaps = case(tmp_path, "import subprocess\nsubprocess.run(['./score'])\n").gaps()
    assert gaps == [f"{NOT_FOUND}; it starts other programs (train_gpt.py:2)"]


def test_asking_after_the_machine_is_no_such_program(tmp_path: Path) -> None:
    gaps = case(tmp_path, "import subprocess\nsubprocess.run(['nvidia-smi', '-q'])\n").gaps()
    assert gaps == [f"{NOT_FOUND}; no loss on validation tokens either"]


def test_an_import_of_a_known_library_is_no_reason(tmp_path: Path) -> None:
    gaps = case(tmp_path, "import torch\nimport einops\n").gaps()
    assert gaps == [f"{NOT_FOUND}; no loss on validation tokens either"]


def test_the_mean_of_some_of_the_runs_names_the_stage_whose_figures_it_lies_between(tmp_path: Path) -> None:
    for seed, (mixed, last) in enumerate([(1.101, 1.3), (1.102, 1.301), (1.106, 1.302)]):
        steps = "".join(f"step:{i}/9 train_loss:2.0\n" for i in range(9))
        text = f"seed:{seed}\n{steps}mixed val_loss:1.9 val_bpb:{mixed}\nlast val_loss:2.2 val_bpb:{last}\n"
        (tmp_path / f"train_seed{seed}.log").write_text(text, encoding="utf-8")
    (tmp_path / "submission.json").write_text('{"val_bpb": 1.1015}', encoding="utf-8")
    assert case(tmp_path, EVALUATION).claimed_stages == ["mixed"]
