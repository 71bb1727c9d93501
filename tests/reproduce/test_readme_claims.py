"""What a README says of its score, and beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.claims import Claims, read_claims
from reproduce.folder import open_folder
from reproduce.machine_names import machine_in
from reproduce.readme_claims import beside, headline


def claims_of(folder: Path, readme: str, **metadata: object) -> Claims:
    (folder / "train_gpt.py").write_text("import torch\n")
    (folder / "README.md").write_text(readme)
    if metadata:
        (folder / "submission.json").write_text(json.dumps(metadata))
    return read_claims(open_folder(folder))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("# Deep entry - val_bpb: 1.1845\n", 1.1845),
        ("# Entry\n\n**val_bpb: 1.1845** (3 seeds)\n", 1.1845),
        ("# Entry\n\nMean val_bpb = **1.18450**\n", 1.1845),
        ("# Entry\n\nDIAGNOSTIC post_ema val_bpb:1.1422 vs val_bpb: 1.1379 before\n", None),
        ("# Entry\n\nIt beats the baseline val_bpb: 1.2244.\n", None),
        ("# Beyond the baseline val_bpb: 1.2244\n", None),
        ("**val_bpb: TBD**\n", None),
    ],
)
def test_the_readmes_own_score_is_read_and_no_other(text: str, score: float | None) -> None:
    said = headline(text)
    assert (said.value if said else None) == score


def test_a_null_in_the_metadata_says_that_there_is_no_score(tmp_path: Path) -> None:
    assert claims_of(tmp_path, "**val_bpb: 1.1845**\n", val_bpb=None).val_bpb is None
    assert claims_of(tmp_path, "**val_bpb: 1.1845**\n", name="entry").val_bpb == 1.1845


def test_the_row_of_the_claimed_score_gives_size_and_machine(tmp_path: Path) -> None:
    readme = (
        "| Run | Steps | val_bpb | Artifact |\n|---|---|---|---|\n"
        "| 1xA100 | 900 | 1.3100 | 12.0MB |\n| 11 layers, 8xH100 | 4704 | 1.1826 | 17.3MB |\n"
    )
    claims = claims_of(tmp_path, readme, val_bpb=1.1826)
    said = claims.figures["readme_bytes"]
    assert (said.value, said.slack > 49_000, said.where) == (17_300_000, True, "README.md line 4")
    assert str(machine_in(claims.hardware or "")) == "8xH100"


def test_a_table_of_figures_gives_size_and_training_time(tmp_path: Path) -> None:
    readme = (
        "| Metric | Value |\n|---|---|\n| final val_bpb | **1.1590** |\n| training wallclock | 5,100s |\n"
        "| total wallclock | 8,729s |\n| bytes_model | 15,877,533 |\n| **bytes_total** | **15,940,324** |\n"
    )
    claims = claims_of(tmp_path, readme, val_bpb=1.159)
    assert (claims.figures["readme_bytes"].value, claims.train_seconds) == (15_940_324, 5100)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("**val_bpb: 1.1826** | **15.94 MB** | 8xH100", 15_940_000),
        ("val_bpb 1.1826 at 17.3 MB (over the 16MB cap), submission unsubmittable", 17_300_000),
        ("val_bpb 1.1826, artifact 15.5 MB or 17.2 MB", None),
        ("val_bpb 1.1826, 106.2 MB of uncompressed artifact", None),
        ("val_bpb 1.1826 with 17.3 MB", None),
        ("val_bpb 1.2244 with an artifact of 17.3 MB", None),
    ],
)
def test_only_one_size_beside_the_score_is_the_artifacts(line: str, size: int | None) -> None:
    said = beside(line, 1.1826, []).bytes_total
    assert (said.value if said else None) == size


def test_metadata_stand_before_the_readme(tmp_path: Path) -> None:
    readme = "**val_bpb: 1.1826** | **15.94 MB** | 1xH100\n"
    claims = claims_of(tmp_path, readme, val_bpb=1.1826, bytes_total=15_000_000, hardware="8xH100 SXM")
    assert "readme_bytes" not in claims.figures
    assert (claims.bytes_total, claims.hardware, claims.hardware_where) == (15_000_000, "8xH100 SXM", "submission.json")


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("8xH100 SXM 80GB", (8, "H100")),
        ("H100:8", (8, "H100")),
        ("a single H100 NVL, expected on 8xH100", (1, "H100")),
        ("1x NVIDIA GeForce RTX 4090", (1, "RTX 4090")),
        ("4× A100 80GB", (4, "A100")),
        ("Apple M2 Max", (None, "M2 Max")),
        ("RTX 5090", (None, "RTX 5090")),
        ("seed 42, 11L512d", None),
    ],
)
def test_machines_are_read_as_people_write_them(text: str, machine: tuple[int | None, str] | None) -> None:
    found = machine_in(text)
    assert (None if found is None else (found.count, found.model)) == machine


@given(st.text(alphabet="val_bp:=*#| 1.2345MB×xH0\n-", max_size=400))
def test_no_text_breaks_the_readme_reader(text: str) -> None:
    headline(text)
    assert beside(text, 1.2345, []).hardware_line >= 0
    machine_in(text)
