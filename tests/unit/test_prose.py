import html
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from patchmill.deliver.markdown import paragraphs
from patchmill.edit.prose import EXPLANATION_LIMIT, plain

# What forges make links, notices, pictures or orders of, in the text as a reader sees it.
EFFECTS = re.compile(
    r"(?i)://|www\.|@\w|#\d|\bGH-\d|(?<![\w!])!\d|(?<![\w~])~[a-z]|(?<![\w$])\$\d|&\d"
    r"|\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,40}\b|[\w-]\.(?:com|org|net|io|ru|cn)\b"
    r"|\[(?:issue|vulnerability|epic):"
)
COMMONMARK = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PIECES = (
    *("<", ">", "a", "/", "[", "]", "(", ")", "!", ":", "//", "http", "www.", "@", "#", "1", "\n", " ", "\t"),
    *("\u200b", "\u202e", "\x00", "\ud800", "\ufe0f", "\\", "`", "```", "~", "~~~", "suggestion", "&", ";"),
    *("<b>", "[a](b)", "x.org", "é", "&commat;", "&#64;", "&#35;", "&amp;", "&lt;", "GH-", "!1", "^", "$"),
    *("a5c3785", "[issue:", "[a]: b", "![", "evil.com", "mailto:", "- ", "> ", "1. ", "close", "*", "_", "|"),
)
MARKUP = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
HOSTILE = (
    "&commat;octocat please",
    "&#64;octocat, &#x40;octocat and &amp;commat;octocat",
    "GH-12 and gh-12, &#71;H-12, GH\\-12, G\u200bH-12",
    "!123 and ~bug, %12, $5, &7, [issue:12]",
    "[a][b] ![c][b] [b]\n\n[b]: http://evil.com/x.png",
    "<a href=x>y</a><img src=//evil.com/x.png><script>alert(1)</script>",
    "![i](http://evil.com/x.png) [t](http://evil.com) <http://evil.com> <bob@evil.com>",
    "https:/\\/evil.com, https&colon;//evil.com, http&#58;&#47;&#47;evil.com, ht<b>tp://evil.com",
    "www\\.evil.com www.evil.com WWW.evil.com evil.com/phish evil\\.com xn--ls8h.com",
    "```suggestion\nrm -rf\n```",
    "~~~~suggestion\nrm -rf\n~~~~",
    "> ```suggestion\n> rm -rf\n> ```",
    "`` `suggestion\nrm\n` ``",
    "fixes #12, closes acme/app#3, fixes &num;12, fixes \\#12, #@1",
    "@octocat \\@octocat @\u200boctocat **@**octocat @[octocat](x) @<b>octocat</b> @-@octocat",
    "acme/app@a5c3785ed8d6a35868bc169f07e40e889087fd2e and a5c3785 and A5C3785ED8",
    "one\n/merge\n\t/close\n&sol;close\n<!-- -->/label ~bug",
    "note[^1]\n\n[^1]: www.evil.com",
    "see //evil.example/x, a5c3785ed8mailto:bob@evil.com and a5c3785ed8www.evil.com",
    "\u202eneddih \ufe0f\u3164 \U000e0041\U000e007f",
    "$$\\href{http://evil.com}{y}$$",
    "[a\\](b) [a](<b>) [a](b 'c') [[x]](http://evil.com)",
    "<!-- hidden -- > <!-- x\n<?php ?> <![CDATA[x]]> </p>",
)


def rendered(text: str) -> list[str]:
    """The names of what CommonMark makes of a text, of all depths."""
    found: list[str] = []
    for token in COMMONMARK.parse(text):
        found += [token.type, *(child.type for child in token.children or ())]
    return found


def seen(text: str) -> str:
    """The text as CommonMark shows it, outside of code."""
    shown: list[str] = []
    for token in COMMONMARK.parse(text):
        shown += ["\n"] + [child.content if child.type == "text" else " " for child in token.children or ()]
    return "".join(shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see //evil.example/x // or y", "see / /evil.example/x // or y"),
        ("Use `x < y` and a -> b.", "Use `x < y` and a -> b."),
        ("<b>bold</b><!-- note --> text", "bold text"),
        ("<<b>script>alert(1)", "< script>alert(1)"),
        ("see [the docs](https://example.org/a) now", "see the docs now"),
        ("![picture](https://example.org/a.png)", "picture"),
        ("see https://example.org/a", "see example .org/a"),
        ("see www.example.org", "see www .example .org"),
        ("thanks @octocat, use @functools.wraps", "thanks octocat, use functools.wraps"),
        ("fixes #12 and acme/app#3", "fixes 12 and acme/app3"),
        ("fixes GH-12 by a5c3785ed8d6", "fixes GH 12 by a5c378…"),
        ("thanks &commat;octocat, see &#35;12", "thanks octocat, see 12"),
        ("\\@octocat and https:/\\/example.org", "octocat and example .org"),
        ("```suggestion\nrm\n```", "suggestion\nrm"),
        ("one\n/merge", "one\nmerge"),
        ("zero\u200bwidth \u202eturned\x07 \ufe0f\u3164now", "zerowidth turned now"),
        ("  a \t b  \r\n\n\n\n c ", "a b\n\nc"),
        (
            "x != 3, %s, 50%, x[1:2], os.path, 10000000, a & b",
            "x != 3, %s, 50%, x[1:2], os.path, 10000000, a & b",
        ),
    ],
)
def test_prose_stays_readable_and_loses_its_effect(text: str, shown: str) -> None:
    assert plain(text, limit=600) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_text_keeps_an_effect(text: str) -> None:
    shown = plain(text, limit=EXPLANATION_LIMIT)

    assert not EFFECTS.search(shown)
    assert not EFFECTS.search(html.unescape(seen(shown)))
    assert not {"link_open", "image", "html_inline", "html_block", "fence"} & {*rendered(shown)}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_review_comment_shows_a_hostile_text_and_nothing_more(text: str) -> None:
    # With and without what every explanation goes through first: a rule's name, say, does not.
    for said in (text, plain(text, limit=EXPLANATION_LIMIT)):
        shown = paragraphs(said, at_most=EXPLANATION_LIMIT)

        assert not {"link_open", "image", "html_inline", "html_block", "fence", "code_block"} & {
            *rendered(shown)
        }
        assert not re.search(
            r"(?i)://|www\.|@\w|#\d|\bGH-\d|\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,40}\b", seen(shown)
        )


@settings(deadline=None)
@given(MARKUP, st.integers(1, 50))
def test_plain_text_keeps_the_limit_and_has_no_effect(text: str, limit: int) -> None:
    shown = plain(text, limit=limit)

    assert len(shown) <= limit
    assert all(char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"} for char in shown)
    assert not re.search(r"<[a-z/!?]|\]\(|\]:|```|~~~", shown)
    assert not EFFECTS.search(shown)
    assert not EFFECTS.search(html.unescape(seen(shown)))
    assert not {"link_open", "image", "html_inline", "html_block", "fence"} & {*rendered(shown)}


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert plain("word " * 10, limit=12) == "word word w…"
