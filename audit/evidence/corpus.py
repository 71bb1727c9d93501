"""Weighs the evidence of every submission below a folder on several cores, one record each."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from audit.evidence.evidence import Evidence
from audit.evidence.gate import evidence_rules
from reproduce.errors import InputError
from reproduce.folder import find_submissions, open_folder

Record = dict[str, Any]
_AT_A_TIME = 8  # submissions a worker takes at once


def weigh_corpus(
    root: str | Path, *, jobs: int = 0, progress: Callable[[int, int, Record], None] | None = None
) -> Iterator[Record]:
    """Yield a record a submission folder below ``root``, in the order of their names.

    A record has ``submission`` (its path below root), ``logs`` (how many), ``error`` (why nothing could be read, or
    None) and ``lines``, each with rule, name, status, limit, actual, message, file and line. Code is not audited.
    Raises InputError for a root that is no folder or holds no submission.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(root, "a folder of submissions", "a file" if root.exists() else "nothing there")
    found = find_submissions(root)
    if not found:
        raise InputError(root, "a folder of submissions", "no trainer and no submission.json below it")
    workers = min(jobs or os.cpu_count() or 1, len(found))
    tasks = [(str(path), path.relative_to(root).as_posix()) for path in found]
    if workers == 1:
        records = map(weigh_one, tasks)
        yield from _reported(records, len(tasks), progress)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from _reported(pool.map(weigh_one, tasks, chunksize=_AT_A_TIME), len(tasks), progress)


def _reported(
    records: Iterator[Record], total: int, progress: Callable[[int, int, Record], None] | None
) -> Iterator[Record]:
    for done, record in enumerate(records, 1):
        if progress:
            progress(done, total, record)
        yield record


def weigh_one(task: tuple[str, str]) -> Record:
    """The record of one submission: ``(path, name)``. A rule that fails on it is a line that could not be checked."""
    path, name = task
    record: Record = {"submission": name, "logs": 0, "error": None, "lines": []}
    try:
        folder = open_folder(path, strict=False)
        evidence = Evidence.of_folder(folder)
        record["logs"] = len(folder.logs)
        for rule in evidence_rules():
            if rule.outside or rule.against:
                continue
            try:
                lines = list(rule.lines(evidence))
            except Exception as error:  # a stranger's folder may break a rule; the others still count
                record["lines"].append(_broken(rule.id, rule.title, error))
                continue
            record["lines"] += [
                {
                    "rule": line.rule,
                    "name": line.name,
                    "status": line.status.value,
                    "limit": line.limit,
                    "actual": line.actual,
                    "message": line.message,
                    "file": line.file,
                    "line": line.line,
                }
                for line in lines
            ]
    except (InputError, OSError) as error:
        record["error"] = str(error)
    return record


def _broken(rule: str, title: str, error: Exception) -> Record:
    return {
        "rule": rule,
        "name": title,
        "status": "unchecked",
        "limit": "",
        "actual": f"the rule failed: {type(error).__name__}: {error}",
        "message": "",
        "file": "",
        "line": None,
    }
