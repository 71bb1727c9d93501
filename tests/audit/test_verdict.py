"""Findings weighed into a verdict under each policy profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.case import Case
from audit.finding import Basis, Certainty, Finding, Severity
from audit.rules.c1_slot import Slot
from audit.rules.examples import EVALUATION, evaluator
from audit.verdict import profile_names, read_profile, weigh
from reproduce.errors import InputError
from reproduce.folder import open_folder


def finding(**changes: object) -> Finding:
    fields: dict[str, object] = {
        "rule": "X-1",
        "message": "m",
        "severity": Severity.ERROR,
        "certainty": Certainty.HIGH,
        "basis": Basis.RULING,
        "reference": "#1",
        "file": "train_gpt.py",
        "line": 3,
    }
    return Finding(**{**fields, **changes})  # type: ignore[arg-type]


def verdict(*findings: Finding, gaps: tuple[str, ...] = (), profile: str = "field-guide") -> str:
    return weigh(findings, gaps, read_profile(profile))[0]


def test_nothing_found_is_clean() -> None:
    assert verdict() == "clean"


def test_a_certain_breach_of_a_ruling_is_illegal() -> None:
    assert verdict(finding()) == "illegal"


def test_the_reason_names_rule_file_and_line() -> None:
    assert weigh([finding()], (), read_profile("field-guide"))[1] == ("X-1: m (train_gpt.py:3)",)


def test_what_the_configuration_never_reaches_fails_nobody() -> None:
    assert verdict(finding(active=False)) == "clean"


def test_a_warning_fails_nobody() -> None:
    assert verdict(finding(severity=Severity.WARNING)) == "clean"


def test_a_doubt_asks_for_a_reader() -> None:
    assert verdict(finding(certainty=Certainty.MEDIUM)) == "review"


def test_a_gap_in_the_analysis_asks_for_a_reader() -> None:
    assert verdict(gaps=("stopped",)) == "review"


def test_a_certain_breach_outweighs_gaps() -> None:
    assert verdict(finding(), gaps=("stopped",)) == "illegal"


def test_what_nobody_ruled_on_is_unruled() -> None:
    assert verdict(finding(basis=Basis.UNRULED)) == "unruled"


def test_the_field_guide_decides_only_where_the_profile_says_so() -> None:
    guide = finding(basis=Basis.FIELD_GUIDE)
    assert verdict(guide) == "illegal"
    assert verdict(guide, profile="readme") == "unruled"


def test_what_was_merged_is_tolerated_as_applied() -> None:
    assert verdict(finding(rule="ART-CODE"), profile="as-applied") == "clean"


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_can_be_read(name: str) -> None:
    assert read_profile(name).name == name


def test_an_unknown_profile_is_unusable_input() -> None:
    with pytest.raises(InputError, match="policy profile"):
        read_profile("nonsense")


def test_a_profile_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('illegal = ["contest README"]\n', encoding="utf-8")
    assert weigh([finding()], (), read_profile(str(path)))[0] == "clean"


def test_a_malformed_profile_is_unusable_input(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("illegal = [1\n", encoding="utf-8")
    with pytest.raises(InputError, match="TOML"):
        read_profile(str(path))


def test_a_size_that_one_accounting_clears_is_tolerated_as_applied() -> None:
    cap = finding(rule="ART-CAP", data={"bytes": 16_050_000, "least": 15_990_000})
    assert verdict(cap) == "illegal"
    assert verdict(cap, profile="as-applied") == "clean"
    assert verdict(finding(rule="ART-CAP", data={"least": 16_000_001}), profile="as-applied") == "illegal"


@pytest.mark.parametrize(("claimed", "verdict"), [(0.5, "review"), (1.2, "clean")])
def test_a_score_that_nothing_found_explains_asks_for_a_reader(tmp_path: Path, claimed: float, verdict: str) -> None:
    (tmp_path / "train_gpt.py").write_text(EVALUATION, encoding="utf-8")
    (tmp_path / "submission.json").write_text(f'{{"val_bpb": {claimed}, "track": "non-record"}}', encoding="utf-8")
    gaps = Case(open_folder(tmp_path)).gaps()
    assert weigh([], gaps, read_profile("field-guide"))[0] == verdict


FITTED = """
        cut = 64 if start else 0
        shift = torch.zeros(64, requires_grad=True)
        fitter = torch.optim.AdamW([shift], lr=1e-2)
        for turn in range(8):
            fitter.zero_grad()
            F.cross_entropy(logits[:cut] + shift, y[:cut]).backward()
            fitter.step()
        with torch.no_grad():
            later = F.cross_entropy(logits + shift, y, reduction="none")
            total += float(later[{scored}].sum())
"""


@pytest.mark.parametrize(("scored", "expected"), [("cut:", "unruled"), (":", "illegal")])
def test_a_delta_fitted_to_the_front_of_a_window_alone_is_unruled(tmp_path: Path, scored: str, expected: str) -> None:
    text = evaluator(score=FITTED.format(scored=scored)).replace("(held) - 1, 128)", "(held) - 1, 64)")
    (tmp_path / "train_gpt.py").write_text(text, encoding="utf-8")
    found = list(Slot().check(Case(open_folder(tmp_path))))
    assert weigh(found, (), read_profile("field-guide"))[0] == expected


@pytest.mark.parametrize(("claimed", "asked"), [(0.9, True), (1.1, False)])
def test_a_score_below_all_accepted_ones_asks_for_a_reader(tmp_path: Path, claimed: float, asked: bool) -> None:
    (tmp_path / "train_gpt.py").write_text(EVALUATION, encoding="utf-8")
    (tmp_path / "submission.json").write_text(f'{{"val_bpb": {claimed}}}', encoding="utf-8")
    reasons = Case(open_folder(tmp_path)).gaps()
    assert [r for r in reasons if f"a score of {claimed:.4f} is claimed" in r] == reasons[-1:] * asked
