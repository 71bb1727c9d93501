"""Finds every rule: one class a file under audit/rules and audit/evidence."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from audit.rule import Rule


@cache
def all_rules() -> dict[str, Rule]:
    """Return one instance of each rule by its id, in the order of the ids.

    Raises ValueError where two classes claim one id: a rule has one page.
    """
    import audit.evidence
    import audit.rules

    found: dict[str, Rule] = {}
    for package in (audit.rules, audit.evidence):
        for module in _modules(package):
            for name in dir(module):
                candidate = getattr(module, name)
                if (
                    not (isinstance(candidate, type) and issubclass(candidate, Rule))
                    or candidate.__module__ != module.__name__
                ):
                    continue
                if not hasattr(candidate, "id"):
                    continue  # a base that rules share
                known = found.get(candidate.id)
                if known is not None and issubclass(type(known), candidate):
                    continue  # the code's part of a rule extends the one on evidence
                if known is not None and not issubclass(candidate, type(known)):
                    raise ValueError(f"two rules are called {candidate.id}: {type(found[candidate.id])}, {candidate}")
                found[candidate.id] = candidate()
    return dict(sorted(found.items()))


def _modules(package: ModuleType) -> list[ModuleType]:
    return [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]


def choose(ids: list[str] | None) -> dict[str, Rule]:
    """Return the rules of these ids, all where none is given. Raises KeyError with the unknown id."""
    rules = all_rules()
    if not ids:
        return rules
    for wanted in ids:
        if wanted.upper() not in rules:
            raise KeyError(wanted)
    return {wanted.upper(): rules[wanted.upper()] for wanted in ids}
