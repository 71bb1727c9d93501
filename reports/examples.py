"""Writes reports/examples, `make examples`: the reports on our own submission and on five public ones.

    python -m reports.examples [--own REPORT.json] [--corpus FOLDER]

Ours is what `golfproof demo` saved, given with --own: it holds the seeds that were trained. The public submissions are
not in this repository. With --corpus (a folder of theirs by pull request, as PULL/TRACK/NAME) their reports are made
anew; without it their Markdown is made again from the committed JSON.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from reports import html, markdown
from reports.collect import collect
from reports.report import Report, from_json, to_json, without_excerpts
from reports.write import write_text
from reproduce.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "reports" / "examples"
PULLS = (162, 700, 745, 1384, 1453)


def own(saved: Path) -> Report:
    """The saved report on this repository's submission with today's audit, without what differs between machines.

    Raises InputError where there is none.
    """
    from audit.evidence.evidence import Evidence
    from audit.evidence.gate import gate
    from audit.run import audit_folder
    from reproduce.claims import read_claims
    from reproduce.folder import open_folder

    try:
        report = from_json(saved.read_bytes(), str(saved))
    except OSError as error:
        raise InputError(saved, "the report.json of `golfproof demo`", error.strerror or "nothing") from error
    if report.seeds is not None:
        runs = (
            replace(run, path=Path(run.path).name, settings={}, tokenizer=None, dataset=None, events=())
            for run in report.seeds.runs
        )
        report = replace(report, seeds=replace(report.seeds, runs=tuple(runs)))
    claims = report.claims and replace(report.claims, path=Path(report.claims.path).name)
    entry = open_folder(ROOT / "submission")
    audit = audit_folder(entry)
    # The lines on the runs stay as they were weighed with the whole logs; the one on the code is today's.
    judged, *_ = gate(entry, audit=audit, evidence=Evidence(entry, (), read_claims(entry)))
    checks = tuple(judged if check.name == judged.name else check for check in report.checks)
    return _settled(replace(report, audit=audit, checks=checks, claims=claims, sources=()))


def of_pull(corpus: Path, number: int) -> Report:
    """The report on the submission of a pull request: figures, rules, lines and rulings, none of its text.

    Raises InputError where ``corpus`` does not have it.
    """
    found = sorted((corpus / str(number)).glob("*/*/"))
    if not found:
        raise InputError(corpus / str(number), "a submission as TRACK/NAME")
    report = without_excerpts(collect(found[0], folder=f"{number}/{found[0].parent.name}", source_texts=False))
    name = f"Pull request {number}"
    claims = report.claims and replace(
        report.claims, name=None, author=None, hardware=None, unread=(), warnings=(), figures={}
    )
    audit = report.audit and replace(report.audit, submission=name)
    return _settled(replace(report, submission=name, audit=audit, claims=claims))


def _settled(report: Report) -> Report:
    audit = report.audit and replace(report.audit, seconds=0.0)
    return replace(report, audit=audit, generated_by="golfproof")


def files(report: Report, name: str, *, page: bool = False) -> dict[str, str]:
    """The example's files by name."""
    made = {f"{name}.json": to_json(report) + "\n", f"{name}.md": markdown.render(report)}
    return made | ({f"{name}.html": html.render(report)} if page else {})


def examples(corpus: Path | None = None, folder: Path = EXAMPLES, saved: Path | None = None) -> dict[str, str]:
    """Every example's file with its text.

    Without ``corpus`` the public ones come from the JSON in ``folder``, without ``saved`` so does our own.
    """
    made = files(own(saved or folder / "submission.json"), "submission", page=True)
    for number in PULLS:
        name = f"pull-{number}"
        saved = folder / f"{name}.json"
        if corpus is not None:
            made |= files(of_pull(corpus, number), name)
        elif saved.is_file():
            made |= files(from_json(saved.read_bytes(), str(saved)), name)
    return made


def stale(corpus: Path | None = None, folder: Path = EXAMPLES) -> list[str]:
    """The example files that differ from what the code makes."""
    wanted = examples(corpus, folder)
    return sorted(
        name
        for name, text in wanted.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    )


def main() -> None:
    """Bring the examples up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own", type=Path, help="the report.json that `golfproof demo` saved")
    parser.add_argument("--corpus", type=Path, help="public submissions as PULL/TRACK/NAME")
    options = parser.parse_args()
    EXAMPLES.mkdir(exist_ok=True)
    try:
        made = examples(options.corpus, saved=options.own)
    except InputError as error:
        parser.exit(2, f"{error}\n")
    for name, text in made.items():
        write_text(EXAMPLES / name, text)
    sys.stdout.write(f"{EXAMPLES}: {len(made)} files\n")


if __name__ == "__main__":
    main()
