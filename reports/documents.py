"""Writes the documents that are generated from code, `make docs`: the JSON schema and the rule pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reports.report import SCHEMA, json_schema
from reports.rule_pages import pages
from reports.write import write_text

DOCS = Path(__file__).resolve().parent.parent / "docs"


def documents() -> dict[Path, str]:
    """Every generated document: its path under docs/ and its text."""
    from audit.registry import all_rules
    from audit.verdict import profile_names, read_profile

    profiles = [read_profile(name) for name in profile_names()]
    made = {Path("rules") / name: text for name, text in pages(all_rules(), profiles).items()}
    made[Path("schema") / f"report-{SCHEMA}.json"] = json.dumps(json_schema(), indent=2) + "\n"
    return made


def stale(docs: Path = DOCS) -> list[str]:
    """What differs between ``docs`` and the code: changed, missing and left-over documents."""
    wanted = documents()
    wrong = [
        str(path)
        for path, text in wanted.items()
        if not (docs / path).is_file() or (docs / path).read_text(encoding="utf-8") != text
    ]
    left = {path.relative_to(docs) for path in (docs / "rules").glob("*.md")} - set(wanted)
    return sorted([*wrong, *(str(path) for path in left)])


def write(docs: Path = DOCS) -> None:
    """Bring ``docs`` up to date."""
    wanted = documents()
    for path in (docs / "rules").glob("*.md"):
        if path.relative_to(docs) not in wanted:
            path.unlink()
    for path, text in wanted.items():
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(docs / path, text)


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{DOCS}: up to date\n")
