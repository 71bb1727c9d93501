"""The rule on scope: a pull request adds one folder under records/ and touches nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis, Severity
from audit.rule import Example
from reproduce.errors import InputError


class SScope(EvidenceRule):
    id = "S-SCOPE"
    title = "scope of the pull request"
    order = 71
    of_runs = False
    severity = Severity.WARNING
    basis = Basis.RULING
    reference = "README; #53, #76, #236, #545, #1031, #1120, #1143"
    forbids = "Changes outside one folder of records/<track>/."
    why = "A reviewer merges a folder; anything else changes the contest for everyone."
    comply = "Commit only records/<track>/<date>_<name>/ on the branch of the pull request."
    outside = True
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", ".changed": "records/track_10min_16mb/2026-04-01_A/README.md\n"},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {
            "train_gpt.py": "import torch\n",
            ".changed": "records/track_10min_16mb/2026-04-01_A/README.md\ntrain_gpt.py\n",
        },
        {
            "train_gpt.py": "import torch\n",
            ".changed": "records/track_10min_16mb/A/README.md\nrecords/track_10min_16mb/B/README.md\n",
        },
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        limit = "one folder of records/<track>/"
        changed = evidence.changed
        if changed is None:
            yield self.line(Status.UNCHECKED, "no git range given: --range BASE..HEAD", limit=limit)
            return
        if not changed:
            yield self.line(Status.UNCHECKED, "the git range changes nothing", limit=limit)
            return
        folders = {"/".join(parts[:3]) for path in changed if _in_records(parts := PurePosixPath(path).parts)}
        strays = [path for path in changed if not _in_records(PurePosixPath(path).parts)]
        if strays or len(folders) != 1:
            shown = f"{len(folders)} folder(s)" + (f", {len(strays)} file(s) outside: {strays[0]}" if strays else "")
            yield self.line(
                Status.FAIL,
                shown,
                f"the pull request touches {shown}",
                limit=limit,
                file=strays[0] if strays else min(folders),
                folders=sorted(folders),
                outside=strays[:50],
            )
            return
        yield self.line(Status.PASS, f"{len(changed)} file(s) in {min(folders)}", limit=limit)


def _in_records(parts: tuple[str, ...]) -> bool:
    return len(parts) >= 4 and parts[0] == "records"


def changed_paths(folder: Path, git_range: str) -> tuple[str, ...]:
    """Paths that a git range changes in the repository around ``folder``.

    ``A..B`` is read as what B changed since it left A. Raises InputError where git, repository or range fail.
    """
    base, dots, head = git_range.replace("...", "..").partition("..")
    if not dots or not base or base.startswith("-") or head.startswith("-"):
        raise InputError("--range", "two commits such as origin/main..HEAD", repr(git_range))
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "diff", "--no-ext-diff", "--no-textconv"]
    try:
        done = subprocess.run(
            [*command, "--name-only", "-z", f"{base}...{head or 'HEAD'}", "--"], capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(folder, "a git repository and git", str(error)) from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError(folder, f"a git repository with the range {git_range}", reason[0] if reason else "git failed")
    return tuple(path for path in done.stdout.decode("utf-8", "surrogateescape").split("\0") if path)
