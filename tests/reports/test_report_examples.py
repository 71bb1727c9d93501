"""The committed examples: up to date, and without a word of the public submissions."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reports import examples
from reports.report import from_json


def test_the_examples_are_up_to_date() -> None:
    assert examples.stale() == [], "run `make examples`"


@pytest.mark.skipif("GOLFPROOF_CORPUS" not in os.environ, reason="GOLFPROOF_CORPUS names no folder of submissions")
def test_the_public_ones_are_what_the_corpus_gives() -> None:
    assert examples.stale(Path(os.environ["GOLFPROOF_CORPUS"])) == []


@pytest.mark.parametrize(
    ("number", "mean"), [(162, 1.1458), (700, 1.0541), (745, 1.0222), (1384, 1.1441), (1453, 1.1324)]
)
def test_a_public_example_has_the_published_mean(number: int, mean: float) -> None:
    path = examples.EXAMPLES / f"pull-{number}.json"
    found = from_json(path.read_bytes(), str(path))
    assert found.seeds is not None
    assert found.seeds.summary is not None
    assert found.seeds.summary.n == 3
    assert found.seeds.summary.mean == pytest.approx(mean, abs=5.1e-5)


def test_no_example_holds_code_words_or_a_machine_s_paths() -> None:
    for path in examples.EXAMPLES.glob("*.json"):
        found = from_json(path.read_bytes(), str(path))
        assert found.sources == ()
        if path.name.startswith("pull-"):
            assert found.words == ""
            assert found.submission == f"Pull request {path.stem.removeprefix('pull-')}"
            steps = [step for finding in (found.audit.findings if found.audit else ()) for step in finding.path]
            assert not any(step.excerpt for step in steps)
        assert not re.search(r'"/(?:home|root|tmp|work|Users)/', path.read_text(encoding="utf-8"))


def test_a_changed_example_is_stale(tmp_path: Path) -> None:
    for path in examples.EXAMPLES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pull-700.md").write_text("old")
    (tmp_path / "submission.html").unlink()
    assert examples.stale(folder=tmp_path) == ["pull-700.md", "submission.html"]
