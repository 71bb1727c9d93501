"""Probes every submission below a folder, each in a sandbox of its own, on this machine or on a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from audit.probe.launch import Launch
from audit.probe.runs import EXPERIMENTS, SOURCE
from reproduce.errors import InputError
from reproduce.executors import Executor
from reproduce.folder import find_submissions

Record = dict[str, Any]
FAILED = "failed"  # the verdict where the probe itself broke, not the submission


@dataclass(frozen=True)
class Settings:
    """What all submissions of a corpus are probed with; see probe_path."""

    seed: int = 1337
    plan: Launch | None = None
    quick: bool = False
    unsafe: bool = False
    source: str = SOURCE
    experiments: tuple[str, ...] = EXPERIMENTS


def probe_corpus(root: Path, executor: Executor, settings: Settings | None = None) -> Iterator[Record]:
    """Yield a record a submission folder below ``root``, as they are ready: its path below ``root``, verdict, reasons.

    One that cannot be probed has the verdict ``unreadable`` with the error; one whose probe broke, ``failed``. On a
    cluster every machine must see ``root`` under the same path. Raises InputError for a root without submissions.
    """
    if not root.is_dir():
        raise InputError(root, "a folder of submissions", "a file" if root.exists() else "nothing there")
    found = find_submissions(root)
    if not found:
        raise InputError(root, "a folder of submissions", "no trainer and no submission.json below it")
    paths = [str(path.resolve()) for path in found]
    for outcome in executor.map(partial(probe_one, settings or Settings()), paths):
        record = outcome.value or {"verdict": FAILED, "reasons": [f"{type(outcome.error).__name__}: {outcome.error}"]}
        yield {**record, "submission": found[outcome.index].relative_to(root).as_posix()}


def probe_one(settings: Settings, path: str) -> Record:
    """Probe one submission; never raises for what is in its folder."""
    from audit.probe.probe import probe_path
    from reproduce.sandbox import SandboxUnavailable

    try:
        result = probe_path(
            path, seed=settings.seed, plan=settings.plan, quick=settings.quick, unsafe=settings.unsafe,
            source=settings.source, experiments=settings.experiments,
        )  # fmt: skip
    except SandboxUnavailable:
        raise  # of the machine, not of the submission
    except InputError as error:
        return {"verdict": "unreadable", "reasons": [str(error)]}
    record: Record = json.loads(json.dumps(asdict(result), default=str))
    return record
