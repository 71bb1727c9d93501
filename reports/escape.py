"""Turns a stranger's text into plain text for each format, whatever it contains.

Names, READMEs, code and log lines of a submission may carry markup, mentions, terminal escapes or invisible characters.
Every renderer passes them through one of these functions; nothing else in this room decides how to escape.
"""

from __future__ import annotations

import re
import unicodedata

# Line and paragraph separators behave as line breaks in several consumers; the others of category C are named by plain.
_BREAKS = frozenset("\u2028\u2029\x85\x0b\x0c")
# Joiners and selectors are legitimate in emoji and scripts, but hide text as well: shown, since a report quotes code.
_INVISIBLE = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u3164\uffa0")
_ZWSP = "&#8203;"


def plain(text: str, *, keep_newlines: bool = False) -> str:
    r"""``text`` with control, bidirectional, invisible and unassigned characters spelled out (ESC becomes ``\x1b``).

    Newlines become one space unless ``keep_newlines``; a tab becomes four spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_LINES if keep_newlines else _LINE)


class _Visible(dict[int, str]):
    """Code points to what is shown for them, worked out when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = shown = _visible(chr(code))
        return shown


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] != "C" and category not in ("Zl", "Zp") and character not in _BREAKS | _INVISIBLE:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_LINE = _Visible({ord("\n"): " ", ord("\t"): "    "})
_LINES = _Visible({ord("\n"): "\n", ord("\t"): "    "})


_MARKDOWN = re.compile(
    r"^[-+=]|^(?P<item>\d+)[.)](?!\S)"  # begins a list or underlines a heading
    r"|(?<=www)\.|(?<=gh)-|:(?=//|[\w+-]+:)"  # begins what GitHub makes a link or an emoji of
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis begins and ends at the edge of a word
    r"|[\\`*\[\]<>#|~&$@]",
    re.IGNORECASE,
)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "$": "<span>$</span>"}


def markdown(text: str) -> str:
    """``text`` as one line of GitHub Markdown that renders as itself: no markup, mention, reference, link or emoji.

    A zero-width space breaks what GitHub would link after rendering: ``@name``, ``#1``, ``GH-1``, bare addresses.
    """
    visible = plain(text).strip()
    # A commit hash is linked by GitHub too; broken in the middle it is not.
    visible = re.sub(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])([0-9a-f]{6})(?=[0-9a-f]+\b)", "\\1\ue000", visible)
    return _MARKDOWN.sub(_markdown_character, visible).replace("\ue000", _ZWSP)


def _markdown_character(match: re.Match[str]) -> str:
    found = match.group()
    if match["item"]:
        return f"{match['item']}\\{found[-1]}"
    if found in _ENTITIES:
        return _ENTITIES[found]
    if found in ":@":
        return found + _ZWSP
    if found in ".-" and match.start() > 0:
        return found + _ZWSP
    return f"\\{found}" + (_ZWSP if found == "#" else "")


def markdown_code(text: str, *, in_table: bool = True) -> str:
    """``text`` as a GitHub Markdown code span on one line; pipes are escaped for a table cell."""
    visible = plain(text).strip()
    if not visible:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", visible)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if visible.startswith("`") or visible.endswith("`") else ""
    span = f"{fence}{pad}{visible}{pad}{fence}"
    if not in_table:
        return span
    # GFM splits cells before it reads code spans: an escaped pipe is unescaped again, a backslash before it is not.
    if "|" in visible and "\\|" in visible:
        return markdown(text)
    return span.replace("|", "\\|")


def markdown_fence(text: str, language: str = "") -> str:
    """``text`` as a fenced code block that no line of it can close."""
    visible = plain(text, keep_newlines=True)
    longest = max((len(run) for run in re.findall(r"`+", visible)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible}\n{fence}"


def workflow_command(text: str, *, is_property: bool = False) -> str:
    """``text`` for a GitHub workflow command: as message data, or as a property such as ``file``."""
    escaped = plain(text, keep_newlines=not is_property).replace("%", "%25").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if is_property else escaped


def sarif_message(text: str) -> str:
    """``text`` for a SARIF message: brackets make no link, braces no placeholder."""
    visible = plain(text, keep_newlines=True).replace("\\", "\\\\")
    return visible.replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")
