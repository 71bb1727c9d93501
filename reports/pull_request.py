"""Reports on the submissions that a pull request adds or changes, reading them from git without a checkout.

Nothing of the pull request is executed or written outside a temporary folder: its files are taken out of a bare
repository as data. That makes it safe on pull requests from strangers.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from reports import annotations as workflow_commands
from reports import digest, markdown
from reports.collect import collect
from reports.escape import markdown_code
from reports.report import Report
from reports.write import write_all, write_text
from reproduce.errors import InputError

MOST_BYTES = 512 << 20  # of one submission folder
MOST_FILES = 5_000
MOST_SUBMISSIONS = 10
FORMATS = ("json", "html", "markdown", "sarif", "junit")
_TRACK = re.compile(r"^records/[^/]+/[^/]+/")


@dataclass(frozen=True)
class Change:
    """What a pull request touches: submission folders that it has at its head, and paths outside of any."""

    folders: tuple[str, ...]
    outside: tuple[str, ...]
    head: str  # commit


def git(repository: Path, *arguments: str, token: str = "") -> bytes:
    """The output of a git command in a bare repository; hooks, configuration of the user and prompts are off.

    Raises InputError with git's last line when it fails.
    """
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_DIR": str(repository),
    }
    if token:  # through the environment: an argument could be read by other processes
        import base64

        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        environment |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraheader",
            "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
        }
    ran = subprocess.run(
        ["git", "-c", "core.hooksPath=", *arguments], env=environment, capture_output=True, check=False
    )
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(f"git {arguments[0]}", "to succeed", said[-1] if said else f"exit code {ran.returncode}")
    return ran.stdout


def fetch(remote: str, base: str, head: str, into: Path, token: str = "") -> None:
    """Make ``into`` a bare repository with ``base`` and ``head`` of ``remote`` as refs/golfproof/base and /head.

    File contents are left out where the remote allows it and follow when they are read.
    """
    into.mkdir(parents=True, exist_ok=True)
    git(into, "init", "--quiet", "--bare", str(into))
    local = Path(remote)
    git(into, "remote", "add", "--", "origin", str(local.resolve()) if local.exists() else remote)
    refs = (f"+{base}:refs/golfproof/base", f"+{head}:refs/golfproof/head")
    git(into, "fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", *refs, token=token)


def changes(repository: Path, base: str, head: str) -> Change:
    """What ``head`` changes since it left ``base``. Raises InputError for an unknown revision."""
    for revision in (base, head):
        if revision.startswith("-"):
            raise InputError(revision, "a revision of the repository")
    commit = (
        git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{head}^{{commit}}").decode().strip()
    )
    listed = git(repository, "diff", "--name-only", "--no-renames", "-z", f"{base}...{commit}", "--").decode(
        "utf-8", "surrogateescape"
    )
    paths = [path for path in listed.split("\0") if path]
    folders = dict.fromkeys(match.group().rstrip("/") for path in paths if (match := _TRACK.match(path)))
    outside = tuple(path for path in paths if not _TRACK.match(path))
    return Change(tuple(folder for folder in folders if _exists(repository, commit, folder)), outside, commit)


def _exists(repository: Path, commit: str, folder: str) -> bool:
    return bool(git(repository, "ls-tree", "-z", commit, "--", f":(literal){folder}/"))


def extract(repository: Path, commit: str, folder: str, into: Path, token: str = "") -> Path:
    """Write the regular files of ``folder`` at ``commit`` below ``into``; gives the folder's path there.

    Links and special files are left out. Raises InputError where it is too large.
    """
    packed = git(repository, "archive", "--format=tar", commit, "--", f":(literal){folder}", token=token)
    if len(packed) > MOST_BYTES:
        raise InputError(folder, f"at most {MOST_BYTES:,} bytes", f"{len(packed):,}")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = [member for member in archive if member.isfile()]
        if len(members) > MOST_FILES:
            raise InputError(folder, f"at most {MOST_FILES:,} files", f"{len(members):,}")
        hidden = _regular_files(repository, commit, folder, token) - {member.name for member in members}
        if hidden:  # an archive leaves out what the submission's own .gitattributes marks `export-ignore`
            raise InputError(folder, "files that git archives", f"{min(hidden)} left out by .gitattributes")
        for member in members:  # written one by one: extraction with a filter is younger than Python 3.11.2
            _write(into, member.name, archive.extractfile(member))
    return into / PurePosixPath(folder)


def _regular_files(repository: Path, commit: str, folder: str, token: str) -> set[str]:
    """Paths of the files of a folder, links and submodules left out."""
    listed = git(repository, "ls-tree", "-r", "-z", commit, "--", f":(literal){folder}/", token=token).decode(
        "utf-8", "surrogateescape"
    )
    entries = (line.split("\t", 1) for line in listed.split("\0") if line)
    return {path for about, path in entries if about.startswith("100")}


def _write(into: Path, name: str, content: IO[bytes] | None) -> None:
    target = into / PurePosixPath(name)
    if content is None or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise InputError(name, "a path inside the folder", "one that leads out of it")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())


def review(
    repository: Path,
    base: str,
    head: str,
    out: Path,
    work: Path,
    *,
    profile: str = "field-guide",
    web: str = "",
    token: str = "",
) -> tuple[Report, ...]:
    """Report on every submission that changes from ``base`` to ``head``; puts the reports and comment.md into ``out``.

    ``web`` is the repository's address on its website; ``work`` a folder for the extracted files.
    """
    change = changes(repository, base, head)
    reports = []
    for number, folder in enumerate(change.folders[:MOST_SUBMISSIONS], 1):
        link = f"{web}/blob/{change.head}/{folder}" if web else ""
        try:
            path = extract(repository, change.head, folder, work / str(number), token)
            found = collect(path, profile=profile, link=link, folder=folder)
        except InputError as error:
            found = Report(folder, folder=folder, notes=(f"no submission to report on: {error}",))
        reports.append(found)
        write_all(found, out, FORMATS, name=f"report-{number}")
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "comment.md", comment(reports, change))
    write_text(out / "annotations.txt", "".join(workflow_commands.render(found) for found in reports))
    return tuple(reports)


def comment(reports: Sequence[Report], change: Change) -> str:
    """The text for one pull request comment, always under GitHub's limit."""
    parts = [markdown.render(found) for found in reports]
    notes = []
    if not change.folders:
        notes.append("No submission folder (`records/TRACK/NAME/`) changes here.")
    if len(change.folders) > 1:
        notes.append(f"{len(change.folders)} submission folders change; the contest asks for one a pull request.")
    if len(change.folders) > len(reports):
        notes.append(f"Only the first {len(reports)} are reported on.")
    if change.outside:
        shown = ", ".join(markdown_code(path[:120], in_table=False) for path in change.outside[:10])
        more = f" and {len(change.outside) - 10} more" if len(change.outside) > 10 else ""
        notes.append(f"Files outside a submission folder change: {shown}{more}.")
    text = "\n".join([markdown.MARKER, *notes, "", *parts])
    if len(text.encode()) < markdown.LIMIT:
        return text
    lines = [f"- {markdown.line(found)}" for found in reports]
    return "\n".join([markdown.MARKER, *notes, "", *lines, "", "The full reports are too long for one comment."])


def fails(reports: Iterable[Report], on: Iterable[str]) -> bool:
    """Whether the check should fail: a verdict in ``on``, or with ``gate`` in it a gate line that does not hold."""
    wanted = set(on)
    return any(found.verdict in wanted or ("gate" in wanted and digest.failed_checks(found)) for found in reports)
