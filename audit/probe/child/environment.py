"""The environment as the trainer sees it: its own settings made small when it asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


class Environment(os._Environ):
    """os.environ, with ``toy(name, submitted value)`` asked first for a toy value; keeps what was asked."""

    def __init__(self, base: Any, toy: Callable[[str, str | None], str | None]) -> None:
        super().__init__(base._data, base.encodekey, base.decodekey, base.encodevalue, base.decodevalue)
        self._toy = toy
        self._written: set[str] = set()
        self.asked: dict[str, tuple[str | None, str | None]] = {}  # name -> (submitted, given)

    def _lookup(self, name: str, default: Any) -> Any:
        submitted = super().__getitem__(name) if self._has(name) else default
        if name in self._written:
            return submitted
        text = None if submitted is None else str(submitted)
        given = self._toy(name, text)
        self.asked.setdefault(name, (text, given if given is not None else text))
        if given is None:
            return submitted
        super().__setitem__(name, given)  # programs that it starts see the same
        return given if isinstance(default, (str, type(None))) else type(default)(float(given))

    def _has(self, name: str) -> bool:
        return self.encodekey(name) in self._data

    def get(self, key: str, default: Any = None) -> Any:
        return self._lookup(key, default)

    def __getitem__(self, key: str) -> str:
        if not self._has(key):
            given = self._toy(key, None)  # `if "MODEL_DIM" in os.environ` asks for a size, too
            if given is None:
                raise KeyError(key)
            self.asked.setdefault(key, (None, given))
            super().__setitem__(key, given)
            return given
        return str(self._lookup(key, None))

    def __setitem__(self, key: str, value: str) -> None:
        self._written.add(key)
        super().__setitem__(key, value)

    def install(self) -> None:
        os.environ = self  # noqa: B003 - what others read must be this object
        os.getenv = self.get
