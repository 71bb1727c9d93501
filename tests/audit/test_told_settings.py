"""Settings that stand in no run command: a block of assignments in the README, a quoted list, the head of a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.case import Case
from audit.settings import Settings, resolve
from audit.source import read_sources
from audit.told_settings import titled
from reproduce.folder import open_folder

PROGRAM = """\
import os

ROUNDS = int(os.environ.get("ROUNDS_AFTER", "0"))


def blend():
    return os.environ.get("BLEND_KIND", "plain")


print(ROUNDS, blend(), "try BLEND_KIND=other")
"""


def settle(tmp_path: Path, readme: str = "", log: str = "") -> Settings:
    (tmp_path / "train_gpt.py").write_text(PROGRAM)
    (tmp_path / "README.md").write_text(readme)
    if log:
        (tmp_path / "train.log").write_text(log)
    folder = open_folder(tmp_path)
    return resolve(folder, read_sources(folder))


def test_a_block_of_assignments_in_the_readme_is_the_configuration(tmp_path: Path) -> None:
    text = "Settings:\n\n```bash\nROUNDS_AFTER=3\nexport BLEND_KIND=odds\nELSEWHERE=1\n```\n"
    settings = settle(tmp_path, text)
    assert settings.environment == {"ROUNDS_AFTER": "3", "BLEND_KIND": "odds"}
    assert settings.environment_why["BLEND_KIND"] == "README.md line 3"


def test_a_quoted_list_that_a_launcher_is_given_is_the_configuration(tmp_path: Path) -> None:
    settings = settle(tmp_path, 'launch --with "ROUNDS_AFTER=25;BLEND_KIND=a,b"\n')
    assert settings.environment == {"ROUNDS_AFTER": "25", "BLEND_KIND": "a,b"}


def test_blocks_that_disagree_tell_nothing(tmp_path: Path) -> None:
    block = "```\nROUNDS_AFTER={}\nBLEND_KIND=odds\nELSEWHERE=1\n```\n"
    assert settle(tmp_path, block.format(1) + block.format(2)).environment == {"BLEND_KIND": "odds"}


def test_a_block_with_other_lines_is_no_list_of_settings(tmp_path: Path) -> None:
    assert settle(tmp_path, "```\nROUNDS_AFTER=3\nBLEND_KIND=odds\nprint(1)\n```\n").environment == {}


def test_the_head_of_a_log_announces_settings(tmp_path: Path) -> None:
    settings = settle(tmp_path, log="  ROUNDS_AFTER=4 | blend\nstep:1/2 train_loss:1\nBLEND_KIND=late\n")
    assert settings.environment == {"ROUNDS_AFTER": "4"}


def test_what_the_program_itself_says_of_a_setting_is_no_announcement(tmp_path: Path) -> None:
    assert settle(tmp_path, log="try BLEND_KIND=other\n").environment == {}


@pytest.mark.parametrize(
    ("title", "switches"),
    [
        ("Ten layers, bigram hash and Odd-Gate", {"USE_BIGRAM_HASH": "1", "ODD_GATE_ENABLED": "1"}),
        ("Ten layers, no odd gate", {}),
        ("Hash of bigrams", {}),
    ],
)
def test_what_the_title_names_was_on_where_nothing_else_tells(title: str, switches: dict[str, str]) -> None:
    defaults = {"USE_BIGRAM_HASH": "0", "ODD_GATE_ENABLED": 0, "LAYERS_ENABLED": "1", "LAYERS": "0"}
    assert titled(title, defaults) == switches


def test_the_title_decides_only_where_no_command_and_no_log_does(tmp_path: Path) -> None:
    program = 'import os\nif int(os.environ.get("GATE_ENABLED", "0")):\n    print("gate")\n'
    (tmp_path / "train_gpt.py").write_text(program)
    (tmp_path / "README.md").write_text("# Gate and rounds\n")
    assert Case(open_folder(tmp_path)).told_in_prose() == {"GATE_ENABLED": "1"}
    (tmp_path / "README.md").write_text("# Gate and rounds\n\n```bash\nGATE_ENABLED=0 python train_gpt.py\n```\n")
    assert Case(open_folder(tmp_path)).told_in_prose() == {}
