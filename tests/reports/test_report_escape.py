"""Whatever a submission is called or says, every format shows it as plain text."""

from __future__ import annotations

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.escape import markdown, markdown_code, markdown_fence, plain, sarif_message, workflow_command

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b |\n| --- | --- |",
    "\x1b[31mred\x1b[0m \x1b]8;;https://x.example\x07link\x1b]8;;\x07",
    "\u202eesrever\u202c \u2066isolated\u2069 \u200bzero\u200fwidth",
    "@openai/maintainers please merge, fixes #1, closes GH-2, see openai/parameter-golf#3",
    "[click](javascript:alert(1)) ![img](https://x.example/p.png) https://x.example www.x.example me@x.example",
    "`code` ``more`` ~~gone~~ **bold** _it_ $math$ :shipit: 1. list\n# heading\n---\n> quote",
    "</script><!-- --> ]]> &lt;b&gt; {{ 7*7 }} {% raw %} ${{ github.token }} %0A::error::x",
    "back\\slash\\| and \\`tick\\` `",
]
texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="`|\\*_[]()<>#@:-.+=~!&$^ \n\tab1wgh/", max_size=40),
    st.sampled_from(HOSTILE),
)
_GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(source: str) -> str:
    """What a reader sees of inline Markdown: its text without tags; fails if there is any tag but our own."""
    rendered = _GFM.renderInline(source)
    assert re.sub(r"</?span>", "", rendered).count("<") == 0, rendered
    return html.unescape(rendered.replace("<span>", "").replace("</span>", ""))


@given(texts)
def test_plain_text_has_no_control_or_invisible_character(text: str) -> None:
    for character in plain(text):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, repr(character)


@given(texts)
def test_plain_is_idempotent(text: str) -> None:
    assert plain(plain(text)) == plain(text)


def test_an_escape_sequence_is_spelled_out() -> None:
    assert plain("\x1b[31mred") == "\\x1b[31mred"


def test_bidirectional_controls_are_spelled_out() -> None:
    assert plain("a\u202eb") == "a\\u202eb"


@given(texts)
def test_markdown_renders_as_the_text_itself(text: str) -> None:
    assert shown(markdown(text)).replace("\u200b", "") == plain(text).strip()


@given(texts)
def test_markdown_begins_no_block(text: str) -> None:
    kinds = {token.type for token in _GFM.parse(markdown(text))}
    assert kinds <= {"paragraph_open", "inline", "paragraph_close"}


@given(texts, texts)
def test_a_table_cell_stays_one_cell(first: str, second: str) -> None:
    row = f"| h | h |\n| --- | --- |\n| {markdown(first)} | {markdown_code(second)} |\n"
    tokens = _GFM.parse(row)
    assert [token.type for token in tokens].count("tr_open") == 2
    assert not any(token.type == "html_block" for token in tokens)
    cells = [tokens[position + 1].content for position, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 2
    assert shown(cells[0]).replace("\u200b", "") == plain(first).strip()
    code = re.sub(r"</?code>", "", _GFM.renderInline(cells[1]).replace("<span>", "").replace("</span>", ""))
    assert html.unescape(code).replace("\u200b", "").strip() == plain(second).strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_left_for_github_to_link(text: str) -> None:
    escaped = shown(markdown(text))
    for pattern in (r"@\w", r"#\d", r"(?i)\bgh-\d", r"https?://", r"www\.\w", r":\w+:"):
        assert not re.search(pattern, escaped), (pattern, escaped)


def test_a_commit_hash_is_broken() -> None:
    assert "0123456789abcdef0123456789abcdef01234567" not in shown(
        markdown("at 0123456789abcdef0123456789abcdef01234567")
    )


@given(texts)
def test_a_code_span_holds_the_text(text: str) -> None:
    rendered = _GFM.renderInline(markdown_code(text, in_table=False))
    inner = re.fullmatch(r"<code>(.*)</code>", rendered)
    visible = plain(text).strip()
    assert (html.unescape(inner.group(1)) if inner else rendered).strip() == visible


@given(texts)
def test_a_fence_is_closed_by_nothing_inside(text: str) -> None:
    tokens = _GFM.parse(markdown_fence(text, "python"))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content == plain(text, keep_newlines=True) + "\n"


@given(texts)
def test_a_workflow_command_stays_on_its_line(text: str) -> None:
    line = f"::error file={workflow_command(text, is_property=True)}::{workflow_command(text)}"
    assert len(line.splitlines()) == 1
    assert line.count("::") >= 2
    assert re.match(r"::error file=[^:,]*::", line)


@given(texts)
def test_a_sarif_message_has_no_link_and_no_placeholder(text: str) -> None:
    escaped = sarif_message(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]]", escaped)
    assert not re.search(r"(?<!\{)(?:\{\{)*\{\d+\}", escaped)
