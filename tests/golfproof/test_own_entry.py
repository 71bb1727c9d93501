"""Our own entry before our own auditor: what is lawful in it comes out clean, what is not comes out illegal."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.finding import Severity
from audit.run import audit_path
from submission.bundle.folder import bundle
from submission.config import load_config

ENTRY = Path(__file__).parents[2] / "submission"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["legal", "tiny", "pr162"])
def test_the_bundle_of_a_lawful_preset_is_clean(preset: str, tmp_path: Path) -> None:
    bundle(ENTRY, load_config(preset, {}), tmp_path / "entry")
    assert audit_path(tmp_path / "entry").verdict == "clean"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["pr700", "pr745", "pr1384", "pr1453"])
def test_the_bundle_of_a_preset_with_an_entropy_expert_is_illegal(preset: str, tmp_path: Path) -> None:
    bundle(ENTRY, load_config(preset, {}), tmp_path / "entry")
    result = audit_path(tmp_path / "entry")
    assert result.verdict == "illegal"
    assert {f.rule for f in result.findings if f.active and f.severity is Severity.ERROR} == {"C2-ENTROPY"}
