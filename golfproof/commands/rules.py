"""``golfproof rules``: the rules that the audit knows, and the page of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from audit.rule import Rule


def rules(
    name: str | None = typer.Argument(None, metavar="[RULE]", help="Print the page of this rule."),
    as_json: bool = typer.Option(False, "--json", help="Print all rules as JSON."),
) -> None:
    """List the rules, or print one rule's page: what it forbids, on whose ruling, why, and how to comply."""
    from audit.registry import all_rules
    from reproduce.errors import InputError

    found = all_rules()
    if name is not None:
        rule = found.get(name.upper())
        if rule is None:
            raise InputError(name, "the id of a rule (see `golfproof rules`)")
        typer.echo(page(rule))
        return
    if as_json:
        typer.echo(json.dumps([as_table(rule) for rule in found.values()], indent=2))
        return
    for rule in found.values():
        typer.echo(f"{rule.id:<12} {rule.severity:<8} {rule.certainty:<7} {rule.basis:<18} {rule.title}")


def as_table(rule: Rule) -> dict[str, str]:
    """Return a rule's page as a dictionary."""
    names = ("id", "title", "severity", "certainty", "basis", "reference", "forbids", "why", "comply")
    return {field: str(getattr(rule, field)) for field in names}


def page(rule: Rule) -> str:
    """Return a rule's page as text."""
    from textwrap import fill

    lines = [
        f"{rule.id}: {rule.title}",
        f"{rule.severity}, {rule.certainty} certainty; rests on: {rule.basis} ({rule.reference})",
        "",
    ]
    for heading, text in (("Forbidden", rule.forbids), ("Why", rule.why), ("How to comply", rule.comply)):
        lines += [fill(f"{heading}: {text}", 100), ""]
    return "\n".join(lines).rstrip()
