"""What is read from submission.json and README, and what is left unread."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.claims import Claims, read_claims
from reproduce.errors import InputError
from reproduce.folder import open_folder
from reproduce.markdown_tables import tables


def claims_of(folder: Path, metadata: object, readme: str = "") -> Claims:
    (folder / "train_gpt.py").write_text("import torch\n")
    (folder / "submission.json").write_text(metadata if isinstance(metadata, str) else json.dumps(metadata))
    (folder / "README.md").write_text(readme)
    return read_claims(open_folder(folder))


def test_the_usual_keys_are_typed(tmp_path: Path) -> None:
    claims = claims_of(
        tmp_path,
        {
            "name": "A",
            "val_bpb": 1.1458,
            "val_bpb_std": 0.0008,
            "bytes_total": 15862650,
            "bytes_code": 52243,
            "date": "2026-03-20",
        },
    )
    assert (claims.val_bpb, claims.std, claims.bytes_total, claims.bytes_code) == (1.1458, 0.0008, 15862650, 52243)
    assert claims.figures["val_bpb"].decimals == 4
    assert claims.unread == ()


@pytest.mark.parametrize(
    "results",
    [
        {"seed_results": {"1337": {"val_bpb": 1.1}, "42": {"val_bpb": 1.2}}},
        {"seed_results": [{"seed": 1337, "val_bpb": 1.1}, {"seed": "42", "val_bpb": 1.2}]},
        {"seeds": {"1337": 1.1, "42": 1.2}},
        {"seeds": [1337, 42], "seed_bpbs": [1.1, 1.2]},
        {"val_bpb_seeds": {"seed_1337": 1.1, "seed_42": 1.2}},
        {"seed_1337": {"val_bpb": 1.1}, "seed_42": {"val_bpb": "1.2"}},
        {"results": {"seeds": {"1337": {"val_bpb": 1.1}, "42": {"val_bpb": 1.2}}}},
    ],
)
def test_seed_results_of_any_shape_are_the_same_claims(tmp_path: Path, results: dict) -> None:
    claims = claims_of(tmp_path, results)
    assert [(s.seed, s.val_bpb) for s in claims.seeds] == [(1337, 1.1), (42, 1.2)]


def test_numbers_with_units_are_read(tmp_path: Path) -> None:
    claims = claims_of(tmp_path, {"artifact_bytes": "15.9 MB", "training_time_seconds": "10 min", "val_bpb": "1.0810"})
    assert (claims.bytes_total, claims.train_seconds, claims.val_bpb) == (15_900_000, 600, 1.081)


@pytest.mark.parametrize("value", ["PENDING", "about one", [1.1], -1.0, 0, float("nan"), float("inf"), 10**400])
def test_what_is_no_score_is_unread_and_never_guessed(tmp_path: Path, value: object) -> None:
    claims = claims_of(tmp_path, {"val_bpb": value})
    assert claims.val_bpb is None
    assert any("val_bpb" in key for key in claims.unread)


def test_unknown_keys_are_listed(tmp_path: Path) -> None:
    assert claims_of(tmp_path, {"val_bpb": 1.1, "quux_bpb": 1.0}).unread == ("quux_bpb",)


def test_the_readme_column_whose_mean_is_claimed_gives_the_seeds(tmp_path: Path) -> None:
    readme = (
        "| Seed | Steps | Sliding bpb | TTT |\n|---|--:|:-:|---|\n"
        "| 1337 | 4,473 | 1.1336 | **1.0201** |\n"
        "| 42 | 4,452 | 1.1339 | **1.0165** |\n| **Mean** | | 1.1338 | **1.0183** |\n"
    )
    claims = claims_of(tmp_path, {"val_bpb": 1.0183}, readme)
    assert [(s.seed, s.val_bpb) for s in claims.seeds] == [(1337, 1.0201), (42, 1.0165)]


def test_a_readme_table_that_does_not_give_the_claim_is_not_taken(tmp_path: Path) -> None:
    readme = "| Seed | bpb |\n|---|---|\n| 1 | 1.5000 |\n| 2 | 1.6000 |\n"
    assert claims_of(tmp_path, {"val_bpb": 1.0183}, readme).seeds == ()


def test_a_table_of_ten_thousand_columns_is_named_not_read(tmp_path: Path) -> None:
    wide = "|" + "a|" * 10_000 + "\n|" + "-|" * 10_000 + "\n|" + "1|" * 10_000 + "\n"
    claims = claims_of(tmp_path, {"val_bpb": 1.1}, wide)
    assert any("10000 columns" in warning for warning in claims.warnings)


def test_deep_json_and_broken_json_are_one_line_errors(tmp_path: Path) -> None:
    for text in ("[" * 10_000 + "]" * 10_000, '{"val_bpb": 1.1,', '{"a":' * 10_000 + "1" + "}" * 10_000):
        with pytest.raises(InputError, match=r"submission\.json: expected"):
            claims_of(tmp_path, text)


@settings(max_examples=80, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["seeds", "seed_results", "val_bpb", "seed", "1337", "seed_7", "results"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    claims = claims_of(tmp_path_factory.mktemp("claims"), {"seed_results": value, "seeds": value, "val_bpb": value})
    assert all(seed.val_bpb is None or seed.val_bpb > 0 for seed in claims.seeds)


@given(st.text(alphabet="|-: a1\n*", max_size=300))
def test_no_text_breaks_the_table_reader(text: str) -> None:
    for table in tables(text, []):
        assert len(table.rows) == len(table.bold)
