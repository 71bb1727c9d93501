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

    Where a class of audit/rules and one of audit/evidence share an id, the former holds the page: it asks the latter.
    Raises ValueError where two classes of one package do.
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
                if (
                    known is not None
                    and type(known).__module__.startswith(audit.rules.__name__)
                    and package is not audit.rules
                ):
                    continue
                if known is not None:
                    raise ValueError(f"two rules are called {candidate.id}: {type(known)}, {candidate}")
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
