"""``golfproof audit``: judge the code of a submission by the contest's rules."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

import typer


class AuditFormat(StrEnum):
    text = "text"
    json = "json"
    jsonl = "jsonl"
    md = "md"
    sarif = "sarif"


def audit(
    paths: list[Path] = typer.Argument(None, help="Submission folders, or their trainer files."),
    corpus: Path | None = typer.Option(None, "--corpus", help="Audit every submission below this folder."),
    evidence: bool = typer.Option(
        False, "--evidence", help="With --corpus: weigh logs, claims, sizes and times instead of the code."
    ),
    jobs: int = typer.Option(0, "--jobs", min=0, help="Processes for --corpus. [one a core]"),
    cache: Path | None = typer.Option(None, "--cache", help="File that remembers results. [a file in ~/.cache]"),
    no_cache: bool = typer.Option(False, "--no-cache", help="Audit everything anew."),
    time_limit: float = typer.Option(120.0, "--time-limit", min=1.0, help="Seconds for one submission of --corpus."),
    executor: str = typer.Option("local", help="Where --corpus works: local, or ray (machines that see the folder)."),
    address: str | None = typer.Option(None, help="Of the Ray cluster. [RAY_ADDRESS, else one on this machine]"),
    format: AuditFormat = typer.Option(AuditFormat.text, "--format", help="How to print the result."),
    profile: str = typer.Option("field-guide", help="Policy: readme, field-guide, as-applied, or a TOML file."),
    rule: list[str] = typer.Option(None, "--rule", help="Put only this rule's question; may be repeated."),
    explain: str | None = typer.Option(None, "--explain", help="Print the page of a rule and do nothing else."),
    write_unpacked: Path | None = typer.Option(
        None, "--write-unpacked", help="Save the text of self-extracting scripts in this folder."
    ),
    probe: bool = typer.Option(False, "--probe", help="Run each submission on noise in the sandbox, too (minutes)."),
    unsafe_no_sandbox: bool = typer.Option(
        False, "--unsafe-no-sandbox", help="With --probe: run a stranger's code with YOUR rights, files and network."
    ),
    strict: bool = typer.Option(False, "--strict", help="Exit 1 for `review` and `unruled`, too."),
) -> None:
    """Judge submissions: read, and run only with --probe.

    Exit code: 0 when nothing is illegal, 1 when something is, 2 on unusable input.
    """
    from reproduce.errors import InputError

    if explain is not None:
        from golfproof.commands.rules import rules

        rules(explain)
        return
    if evidence:
        if corpus is None:
            raise InputError("--evidence", "--corpus (for one submission: golfproof gate)", "none")
        from golfproof.commands.evidence import scan as scan_evidence

        scan_evidence(corpus, jobs, format.value)
        return
    if corpus is not None:
        from golfproof.commands.corpus import scan

        scan(corpus, jobs, format.value, profile, rule, cache, no_cache, time_limit, executor, address)
        return
    if not paths:
        raise InputError("golfproof audit", "a submission folder, a trainer file or --corpus", "none")
    from audit.case import Case
    from audit.run import audit_folder
    from reproduce.folder import open_folder

    results, folders = [], [open_folder(path) for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if write_unpacked is not None:
            from audit.unpack import write_unpacked as save

            save(Case(folder).modules, write_unpacked)
        result = audit_folder(folder, profile, rule or None)
        if probe:
            from audit.probe.join import join
            from audit.probe.probe import probe_path

            if unsafe_no_sandbox:
                typer.echo("golfproof: NO SANDBOX: the submission runs with your rights, files and network", err=True)
            result = join(result, probe_path(path, unsafe=unsafe_no_sandbox))
        results.append(result)
    show(results, folders, format)
    failing = {"illegal", "review", "unruled"} if strict else {"illegal"}
    if any(result.verdict in failing for result in results):
        raise typer.Exit(1)


def show(results: list, folders: list, format: AuditFormat) -> None:
    """Print the results on these folders in one of the formats."""
    from dataclasses import asdict

    if format is AuditFormat.json:
        values = [asdict(result) for result in results]
        typer.echo(json.dumps(values[0] if len(values) == 1 else values, indent=2))
        return
    if format is AuditFormat.jsonl:
        for result in results:
            typer.echo(json.dumps(asdict(result)))
        return
    from reports.report import assemble

    if format is AuditFormat.text:
        from reports import terminal

        for result in results:
            terminal.show(terminal.audit_summary(result))
        return
    from audit.case import Case
    from reports.formats import FORMATS
    from reports.sources import sources_of

    name = {"md": "markdown", "sarif": "sarif"}[format.value]
    if name not in FORMATS:
        from reproduce.errors import InputError

        raise InputError(f"--format {format.value}", f"one of {', '.join(sorted(FORMATS))}", "no such renderer")
    for result, folder in zip(results, folders, strict=True):
        sources = sources_of(Case(folder).modules) if result.findings else ()
        typer.echo(FORMATS[name](assemble(result.submission, audit=result, sources=sources)))
