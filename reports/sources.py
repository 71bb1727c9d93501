"""Takes over the texts of a submission's program, so that a report can quote the lines around a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.report import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.source import Module


def sources_of(modules: Iterable[Module]) -> tuple[Source, ...]:
    """The modules' texts under the names that findings use."""
    return tuple(
        Source(
            module.file,
            module.text,
            packed=module.packed or "!" in module.file,
            inside=module.file.partition("!")[0] if module.packed or "!" in module.file else "",
            line=max(module.file_line(1), 1) if module.packed else 1,
        )
        for module in modules
    )
