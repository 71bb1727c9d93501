"""The command line as the trainer sees it: sizes and data that it takes as options, made small like its settings."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any


def name_of(option: str) -> str:
    """``--train-seq-len`` as a setting is called: TRAIN_SEQ_LEN."""
    return re.sub(r"[^A-Z0-9]+", "_", option.lstrip("-").upper())


class Arguments:
    """``given(NAME, submitted value)`` gives a toy value, or None to leave an option as it is."""

    def __init__(self, given: Callable[[str, str | None], str | None]) -> None:
        self._given = given
        self.asked: dict[str, tuple[str | None, str | None]] = {}  # option -> (submitted, given)

    def install(self) -> None:
        """Patch argparse: the defaults of options as they are added, their values as they are read."""
        add, parse = argparse._ActionsContainer.add_argument, argparse.ArgumentParser.parse_known_args

        def add_argument(parser: Any, *flags: Any, **kwargs: Any) -> Any:
            option = max((flag for flag in flags if isinstance(flag, str)), key=len, default="")
            default = kwargs.get("default")
            if option.startswith("--") and type(default) in (int, float, str) and "action" not in kwargs:
                small = self._small(option, str(default))
                kwargs["default"] = default if small is None else type(default)(small)
            return add(parser, *flags, **kwargs)

        def parse_known_args(parser: Any, args: Any = None, namespace: Any = None, **kwargs: Any) -> Any:
            return parse(parser, self.smaller(sys.argv[1:] if args is None else args), namespace, **kwargs)

        argparse._ActionsContainer.add_argument = add_argument  # type: ignore[method-assign]
        argparse.ArgumentParser.parse_known_args = parse_known_args  # type: ignore[method-assign,assignment]

    def smaller(self, words: Sequence[str]) -> list[str]:
        """``--name value`` and ``--name=value`` with toy values."""
        out: list[str] = []
        for word in map(str, words):
            option, equals, value = word.partition("=")
            if equals and option.startswith("--"):
                small = self._small(option, value)
                out.append(word if small is None else f"{option}={small}")
            elif out and out[-1].startswith("--") and "=" not in out[-1] and not word.startswith("--"):
                small = self._small(out[-1], word)
                out.append(word if small is None else small)
            else:
                out.append(word)
        return out

    def _small(self, option: str, submitted: str | None) -> str | None:
        small = self._given(name_of(option), submitted)
        if small is not None:
            self.asked.setdefault(option, (submitted, small))
        return small
