"""Audits every submission below a folder on several cores, one record each, whatever a single one does."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.finding import AuditResult, Finding
from audit.result_cache import ResultCache, code_digest, folder_digest
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder, find_submissions, list_files

if TYPE_CHECKING:
    from reproduce.executors import RayExecutor

SECONDS_A_SUBMISSION = 120.0
MEMORY_A_WORKER = 6 << 30  # bytes of address space
_SUBMISSIONS_A_WORKER = 200  # then a fresh process takes over
_BUNDLE = 16  # submissions a task of a cluster
UNREADABLE = "unreadable"  # the verdict on a folder that cannot be audited at all

Record = dict[str, Any]
Progress = Callable[[int, int, Record], None]  # done, all, the record just made
# Given the folder, its audit and the profile. A function of a module: workers import it by its name.
Also = Callable[[SubmissionFolder, AuditResult, str], Record]


@dataclass(frozen=True)
class Task:
    """One submission to audit; ``name`` is its path below the corpus."""

    name: str
    path: str
    profile: str
    rules: tuple[str, ...]
    also: Also | None = None


def audit_corpus(
    root: str | Path,
    *,
    jobs: int = 0,
    profile: str = "field-guide",
    rules: Sequence[str] = (),
    cache: Path | None = None,
    seconds: float = SECONDS_A_SUBMISSION,
    progress: Progress | None = None,
    cluster: RayExecutor | None = None,
    also: Also | None = None,
) -> Iterator[Record]:
    """Yield a record a submission folder below ``root``, in the order of their names.

    A submission that takes more than ``seconds``, or kills its process, gets the verdict ``review`` with the reason;
    one that cannot be read gets ``unreadable`` with the error. Results come from ``cache`` where files, rules, profile
    and the analyser's code are unchanged. ``jobs`` processes, one a core for 0; with ``cluster``, tasks on machines
    that all see ``root`` under the same path. What ``also`` says of a submission that could be audited stands in its
    record as ``evidence``. Raises InputError for a root that is no folder or holds no submission.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(root, "a folder of submissions", "a file" if root.exists() else "nothing there")
    found = find_submissions(root)
    if not found:
        raise InputError(root, "a folder of submissions", "no trainer and no submission.json below it")
    tasks = [
        Task(_name(path, root), str(path.resolve() if cluster is not None else path), profile, tuple(rules), also)
        for path in found
    ]
    jobs = jobs or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else jobs or os.cpu_count() or 1
    store = ResultCache(cache)
    try:
        keys = _keys(tasks, jobs) if cache is not None or len(tasks) > 1 else {}
        known = store.get(list(keys.values()))
        yield from _in_order(tasks, keys, known, store, jobs, seconds, progress, cluster)
    finally:
        store.close()


def _in_order(
    tasks: list[Task],
    keys: dict[str, str],
    known: dict[str, Record],
    store: ResultCache,
    jobs: int,
    seconds: float,
    progress: Progress | None,
    cluster: RayExecutor | None,
) -> Iterator[Record]:
    records: dict[str, Record] = {}
    done = 0
    for task in tasks:
        if (record := known.get(keys.get(task.name, ""))) is not None:
            records[task.name] = _named(record, task.name)
            done += 1
            if progress:
                progress(done, len(tasks), records[task.name])
    waiting: dict[str, list[Task]] = {}  # a folder that pull requests carry along is audited once
    for task in tasks:
        if task.name not in records:
            waiting.setdefault(keys.get(task.name, task.name), []).append(task)
    first = [same[0] for same in waiting.values()]
    position = 0

    def ready() -> Iterator[Record]:
        nonlocal position
        while position < len(tasks) and tasks[position].name in records:
            yield records.pop(tasks[position].name)
            position += 1

    yield from ready()
    made = _run(first, jobs, seconds) if cluster is None else _run_on(cluster, first, seconds)
    for task, record, lasting in made:
        if lasting and task.name in keys:
            store.put(keys[task.name], record)
        for same in waiting[keys.get(task.name, task.name)]:
            records[same.name] = _named(record, same.name)
            done += 1
            if progress:
                progress(done, len(tasks), records[same.name])
        yield from ready()


def _run(tasks: list[Task], jobs: int, seconds: float) -> Iterator[tuple[Task, Record, bool]]:
    """Records as they come, each with whether it would come out the same another time."""
    if not tasks:
        return
    from pebble import ProcessExpired, ProcessPool

    # A fresh interpreter a worker: nothing of this process, its threads or its open files, goes over to it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPool(
        max_workers=min(jobs, len(tasks)), max_tasks=_SUBMISSIONS_A_WORKER, context=context, initializer=_prepare
    )
    try:
        futures: dict[Future[Record], Task] = {
            pool.schedule(audit_one, args=(task,), timeout=seconds): task for task in tasks
        }
        for future in as_completed(futures):
            task = futures.pop(future)
            try:
                record = future.result()
                yield task, record, record.get("lasting", True) is True
            except TimeoutError:
                yield task, _undecided(task, f"the audit took more than {seconds:g} s", seconds), False
            except ProcessExpired as error:
                yield task, _undecided(task, f"the audit's process died (exit {error.exitcode})", 0.0), False
            except Exception as error:
                yield task, _undecided(task, f"the audit failed: {type(error).__name__}: {error}", 0.0), False
        pool.close()
    finally:
        if pool.active:
            pool.stop()
        pool.join()


def _run_on(cluster: RayExecutor, tasks: list[Task], seconds: float) -> Iterator[tuple[Task, Record, bool]]:
    """The same on the machines of a cluster, a bundle of submissions a task: a task takes a second to begin."""
    bundles = [tasks[start : start + _BUNDLE] for start in range(0, len(tasks), _BUNDLE)]
    for outcome in cluster.map(partial(_run_bundle, seconds), bundles):
        if outcome.error is None:
            yield from outcome.value
        else:
            for task in bundles[outcome.index]:
                yield task, _undecided(task, f"the audit failed: {outcome.error}", 0.0), False


def _run_bundle(seconds: float, tasks: list[Task]) -> list[tuple[Task, Record, bool]]:
    return list(_run(tasks, 1, seconds))


def _prepare() -> None:
    """Bound a worker's memory, so that one submission cannot take the machine."""
    import logging
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its workers itself
    logging.getLogger("audit").setLevel(logging.CRITICAL)  # a rule that failed is named in the record
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_A_WORKER, MEMORY_A_WORKER))
    except (ImportError, ValueError, OSError):
        pass  # not every system has or allows it


def audit_one(task: Task) -> Record:
    """Audit one submission in this process; never raises for what is in its folder."""
    from audit.run import audit_folder
    from reproduce.folder import open_folder

    started = time.perf_counter()
    try:
        folder = open_folder(task.path, strict=False)
        result = audit_folder(folder, task.profile, task.rules or None)
    except InputError as error:
        record = _empty(task, UNREADABLE, time.perf_counter() - started)
        record["error"] = str(error).replace(task.path, task.name)
        return record
    except (MemoryError, RecursionError) as error:
        return _undecided(task, f"the audit failed: {type(error).__name__}", time.perf_counter() - started)
    record = as_record(result, task.name)
    return record if task.also is None else {**record, "evidence": task.also(folder, result, task.profile)}


def as_record(result: AuditResult, name: str) -> Record:
    """An audit as a line of the corpus run."""
    return {
        "submission": name,
        "trainer": result.trainer,
        "verdict": result.verdict,
        "reasons": list(result.reasons),
        "findings": [_finding(finding) for finding in result.findings],
        "unchecked": list(result.unchecked),
        "trainer_why": result.trainer_why,
        "profile": result.profile,
        "seconds": round(result.seconds, 4),
    }


def _finding(finding: Finding) -> Record:
    return {
        "rule": finding.rule,
        "active": finding.active,
        "severity": finding.severity.value,
        "certainty": finding.certainty.value,
        "basis": finding.basis.value,
        "file": finding.file,
        "line": finding.line,
        "message": finding.message,
        "because": finding.because,
        "path": [
            {"file": step.file, "line": step.line, "role": step.role, "note": step.note, "excerpt": step.excerpt}
            for step in finding.path
        ],
    }


def _empty(task: Task, verdict: str, seconds: float) -> Record:
    return {
        "submission": task.name,
        "trainer": None,
        "verdict": verdict,
        "reasons": [],
        "findings": [],
        "unchecked": [],
        "trainer_why": "",
        "profile": task.profile,
        "seconds": round(seconds, 4),
    }


def _undecided(task: Task, reason: str, seconds: float) -> Record:
    return {**_empty(task, "review", seconds), "reasons": [reason], "unchecked": [reason], "lasting": False}


def _named(record: Record, name: str) -> Record:
    """The record of a submission for another one whose files are the same."""
    if record["submission"] == name:
        return record
    error = {"error": record["error"].replace(record["submission"], name)} if "error" in record else {}
    return {**record, "submission": name, **error}


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else path.resolve().name


def _keys(tasks: list[Task], jobs: int) -> dict[str, str]:
    """What each result rests on. Hashing lets the threads run side by side."""
    from audit.registry import all_rules

    also = tasks[0].also
    code = code_digest() if also is None else f"{also.__qualname__}:{code_digest(also.__module__.partition('.')[0])}"
    versions = ",".join(f"{name}:{rule.version}" for name, rule in all_rules().items())

    def key(task: Task) -> str:
        folder = Path(task.path)
        try:
            content = folder_digest(folder, list_files(folder)[0])
        except OSError:
            return ""
        # Beside its content an audit rests on the folder's name and its track's; what `also` says, on any of its path.
        place = "/".join(folder.resolve().parts[-2:]) if task.also is None else task.name
        parts = (place, content, code, versions, _profile_digest(task.profile), ",".join(task.rules))
        return hashlib.blake2b("|".join(parts).encode("utf-8", "surrogateescape"), digest_size=20).hexdigest()

    with ThreadPoolExecutor(max(jobs, 2)) as pool:
        found = dict(zip((task.name for task in tasks), pool.map(key, tasks), strict=True))
    return {name: key for name, key in found.items() if key}


def _profile_digest(profile: str) -> str:
    """The profile's name, or the content of a profile file of the user's own."""
    path = Path(profile)
    if path.suffix == ".toml" and path.is_file():
        return folder_digest(path.parent, [path])
    return profile
