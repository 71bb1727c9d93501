"""Weighs findings into a verdict under a policy profile."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from audit.finding import Basis, Certainty, Finding, Severity
from reproduce.errors import InputError

FOLDER = Path(__file__).parent / "profiles"


@dataclass(frozen=True)
class Profile:
    """Which finding fails whom. ``bases`` can make a submission illegal; ``tolerated`` rules are reported only.

    ``unruled`` are the bases that give the verdict of that name; ``promoted`` rules fail whatever their basis,
    but for findings whose data say ``disputed``;
    ``tolerated_up_to`` lets a finding pass whose figure ``least`` is no larger.
    """

    name: str
    title: str
    bases: frozenset[Basis]
    unruled: frozenset[Basis] = frozenset()
    tolerated: dict[str, str] = field(default_factory=dict)
    promoted: frozenset[str] = frozenset()
    tolerated_up_to: dict[str, int] = field(default_factory=dict)


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with the audit."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def read_profile(name: str) -> Profile:
    """Read a profile by its name, or a TOML file by its path. Raises InputError for an unknown or malformed one."""
    path = FOLDER / f"{name}.toml" if name in profile_names() else Path(name)
    if not path.is_file():
        raise InputError(name, f"a policy profile ({', '.join(profile_names())}) or a TOML file", "neither")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Profile(
            name=str(table.get("name", path.stem)),
            title=str(table.get("title", "")),
            bases=frozenset(Basis(b) for b in table["illegal"]),
            unruled=frozenset(Basis(b) for b in table.get("unruled", ())),
            tolerated=dict(table.get("tolerated", {})),
            promoted=frozenset(table.get("promoted", ())),
            tolerated_up_to=dict(table.get("tolerated_up_to", {})),
        )
    except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
        raise InputError(path, "a policy profile in TOML with a list `illegal` of bases", str(error)) from error


def weigh(findings: Iterable[Finding], gaps: Sequence[str], profile: Profile) -> tuple[str, tuple[str, ...]]:
    """Return the verdict and the reasons for it.

    An active error of high certainty is ``illegal`` where the profile knows its basis, ``unruled`` where nobody
    ruled; one of medium certainty asks for a reader: ``review``, as do gaps in the analysis. Warnings and notes
    decide nothing.
    """
    fails: list[str] = []
    open_questions: list[str] = []
    doubts: list[str] = []
    for finding in findings:
        if not finding.active or finding.severity is not Severity.ERROR or finding.rule in profile.tolerated:
            continue
        least = finding.data.get("least")
        if isinstance(least, int) and least <= profile.tolerated_up_to.get(finding.rule, -1):
            continue
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        reason = f"{finding.rule}: {finding.message} ({place})"
        promoted = finding.rule in profile.promoted and not finding.data.get("disputed")
        ruled = finding.basis in profile.bases or promoted
        if finding.certainty is Certainty.HIGH and ruled:
            fails.append(reason)
        elif finding.certainty is Certainty.HIGH and finding.basis in profile.unruled:
            open_questions.append(reason)
        elif finding.certainty is Certainty.MEDIUM and (ruled or finding.basis in profile.unruled):
            doubts.append(reason)
    if fails:
        return "illegal", tuple(dict.fromkeys(fails))
    if doubts or gaps:
        return "review", tuple(dict.fromkeys([*doubts, *gaps]))
    if open_questions:
        return "unruled", tuple(dict.fromkeys(open_questions))
    return "clean", ()
