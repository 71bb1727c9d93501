"""Our own entry before our own auditor: what is lawful in it comes out clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.run import audit_path
from submission.bundle.folder import bundle
from submission.config import load_config

ENTRY = Path(__file__).parents[2] / "submission"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["legal", "tiny"])
def test_the_bundle_of_a_lawful_preset_is_clean(preset: str, tmp_path: Path) -> None:
    bundle(ENTRY, load_config(preset, {}), tmp_path / "entry")
    assert audit_path(tmp_path / "entry").verdict == "clean"
