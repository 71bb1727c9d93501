"""The formats by name: each is a function from a report to text."""

from __future__ import annotations

import io
from collections.abc import Callable

from reports.report import Report


def _terminal(report: Report) -> str:
    from rich.console import Console

    from reports import terminal

    stream = io.StringIO()
    terminal.show(terminal.render(report), Console(file=stream, width=120, highlight=False))
    return stream.getvalue()


def _markdown(report: Report) -> str:
    from reports import markdown

    return markdown.render(report)


def _html(report: Report) -> str:
    from reports import html

    return html.render(report)


def _json(report: Report) -> str:
    from reports.report import to_json

    return to_json(report) + "\n"


def _sarif(report: Report) -> str:
    from reports import sarif

    return sarif.render(report)


def _junit(report: Report) -> str:
    from reports import junit

    return junit.render(report)


def _github(report: Report) -> str:
    from reports import annotations

    return annotations.render(report)


FORMATS: dict[str, Callable[[Report], str]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "html": _html,
    "json": _json,
    "sarif": _sarif,
    "junit": _junit,
    "github": _github,
}


def render(report: Report, name: str) -> str:
    """The report in the format of that name; raises KeyError for an unknown one."""
    return FORMATS[name](report)
