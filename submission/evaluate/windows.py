"""Which window scores which positions: every position once, or as an original trainer's loop had it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A model input of tokens start..stop-1, of which positions first..stop-1 are scored."""

    start: int
    first: int
    stop: int


def exact_windows(total: int, seq_len: int, stride: int) -> tuple[Window, ...]:
    """Windows that score each of ``total`` positions once; all but the first see ``seq_len - stride`` tokens before.

    ``stride = seq_len`` gives windows side by side: the plain pass.
    """
    windows = [Window(0, 0, min(seq_len, total))]
    start = stride
    while windows[-1].stop < total:
        windows.append(Window(start, windows[-1].stop, min(start + seq_len, total)))
        start += stride
    return tuple(windows)


def reference_windows(total: int, seq_len: int, stride: int, *, shortest: int) -> tuple[Window, ...]:
    """The seeds' list: a window at every multiple of ``stride``, each scoring its last ``stride`` positions.

    ``total`` is cut to a multiple of ``seq_len`` (the loader drops the tail); windows at the end are shorter and score
    the last positions again. Windows of fewer than ``shortest`` tokens are left out: 1 in the plain passes of all five
    seeds, the stride in the adapting ones of PRs 700 and 745.
    """
    total = total // seq_len * seq_len
    windows = []
    for start in range(0, total, stride):
        stop = min(start + seq_len, total)
        if stop - start >= shortest or start == 0:
            windows.append(Window(start, 0 if start == 0 else max(stop - stride, start), stop))
    return tuple(windows)
