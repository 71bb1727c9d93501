"""Says whether seconds measured on a submission's own machine break a limit that is set for the contest's."""

from __future__ import annotations

import re

from audit.evidence.check import Status
from audit.evidence.evidence import Evidence
from reproduce.errors import InputError
from reproduce.machine_names import machine_in
from reproduce.runlog import RunLog


def _readme(evidence: Evidence) -> str:
    try:
        return evidence.folder.readme_text
    except InputError:
        return ""


def weigh_seconds(evidence: Evidence, seconds: float, limit: float, run: RunLog | None) -> tuple[Status, str]:
    """Whether ``seconds`` of ``run`` (None: as claimed) keep to ``limit``, and what to say of the machine.

    The limit is one of eight H100s. Fewer of them fail it only where eight would, were they eight times as fast; of
    other or unnamed GPUs nothing follows.
    """
    if seconds <= limit:
        return Status.PASS, ""
    wanted = evidence.limits.world_size
    machine = machine_in(evidence.claims.hardware or "")
    logged = run.world_size if run is not None else None
    count = logged if logged is not None else machine.count if machine else None
    gpu = run.gpu if run is not None and run.gpu else ""
    if not gpu and machine is not None and count == machine.count:
        gpu = machine.model
    if not gpu and count is not None and re.search(rf"(?<!\d){count}\s?[x×]\s?(?:NVIDIA )?H100", _readme(evidence)):
        gpu = "H100"
    contest = "H100" in gpu.upper() or "HBM3" in gpu.upper()
    fewer = count is not None and 0 < count < wanted
    if gpu and not contest:
        return Status.WARN, f"on {count or '?'} x {gpu}: of {wanted}xH100 nothing follows"
    if count is not None and fewer:
        share = seconds * count / wanted
        said = f"on {count} GPU{'s' if count > 1 else ''}; {wanted} would need {share:.1f} s at best"
        return (Status.FAIL if contest and share > limit else Status.WARN), said
    return Status.FAIL, ""
