"""A submission that is a package imports its own modules by a name its folder need not have."""

from pathlib import Path

from audit.source import package_name, read_sources
from reproduce.folder import open_folder


def test_a_package_is_read_whatever_its_folder_is_called(tmp_path: Path) -> None:
    entry = tmp_path / "renamed"
    (entry / "model").mkdir(parents=True)
    (entry / "__init__.py").write_text("", encoding="utf-8")
    (entry / "train_gpt.py").write_text("from entry.model import layer\nimport torch.optim\n", encoding="utf-8")
    (entry / "model" / "__init__.py").write_text("", encoding="utf-8")
    (entry / "model" / "layer.py").write_text("from entry.optim import step\n", encoding="utf-8")
    (entry / "optim.py").write_text("step = 1\n", encoding="utf-8")
    folder = open_folder(entry)
    assert package_name(folder) == "entry"
    assert {module.file for module in read_sources(folder)} >= {"train_gpt.py", "model/layer.py", "optim.py"}


def test_a_folder_of_scripts_has_no_package_name(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("import optim\nimport torch.optim\n", encoding="utf-8")
    (tmp_path / "optim.py").write_text("step = 1\n", encoding="utf-8")
    assert package_name(open_folder(tmp_path)) == ""
