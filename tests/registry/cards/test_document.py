import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from registry.cards import document
from registry.cards.document import Bullets, Code, Document, Listing, Paragraph, Picture, Section, Table, Terms

HOSTILE = [
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](y.png)", "a|b", "\\|", "\\", "`", "``a`", "**b**",
    "_b_", "a_b", "__b__", "~~b~~", "# h", "- b", "+ b", "1. b", "12) b", "===", "---", "> q", "<https://x.y>", "&lt;",
    "&#60;", "&", "$x$", "| a | b |\n|---|---|", "```\nx", "~~~", "a\n\n# b", "    code", "\x1b[31mred", "a\x00b",
    "\u202eevil", "\ud800", "a  ", "<!-- x", "[a]: http://x", "-", "1.", "a*", ":-:", "\t- x",
    "'\"><img src=x onerror=y>",
]  # fmt: skip
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.lists(st.sampled_from(HOSTILE)).map("".join))
PLAIN = {"text", "paragraph_open", "paragraph_close", "text_special", "inline"}


def flat(text):
    """Text as it is read: what space there is does not count."""
    return re.sub(r"\s+", " ", document.clean(text)).strip()


def rendered(markdown):
    """The types of tokens, and the text of each line of text, cell or heading."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    inner = [token.children for token in tokens if token.type == "inline"]
    kinds = {token.type for token in tokens} | {child.type for children in inner for child in children}
    return kinds, [re.sub(r"\s+", " ", "".join(child.content for child in children)).strip() for children in inner]


def shown(*blocks, pictures=True):
    return document.markdown(Document("t", blocks, []), pictures=pictures).removeprefix("# t\n\n")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.tags.append("comment")


# --- Markdown


@given(TEXT)
@example("1. x")
@example("a_b_c")
def test_a_text_means_nothing_to_markdown_wherever_it_stands(text):
    if not flat(text):
        return
    kinds, lines = rendered(shown(Paragraph(text)))
    assert (lines, kinds - PLAIN) == ([flat(text)], set())
    kinds, (item,) = rendered(shown(Bullets([text])))
    assert item == flat(text)
    assert kinds - PLAIN == {"bullet_list_open", "list_item_open", "list_item_close", "bullet_list_close"}
    kinds, (row,) = rendered(shown(Terms([(text, text)])))
    assert row == f"{flat(text)}: {flat(text)}"
    assert {"strong_open", "bullet_list_open"} <= kinds and not kinds & {"em_open", "link_open", "code_inline", "image"}
    kinds, cells = rendered(shown(Table(["a", text], [[text, "c"], ["d", text]])))
    assert cells == ["a", flat(text), flat(text), "c", "d", flat(text)]
    assert all(kind in PLAIN or re.fullmatch("(table|thead|tbody|tr|th|td)_(open|close)", kind) for kind in kinds)


@given(TEXT)
def test_code_is_shown_as_it_is(text):
    if not flat(text) or "\N{NO-BREAK SPACE}" in text:
        return
    kinds, (line,) = rendered(shown(Paragraph(["run ", Code(text), " now"])))
    assert "code_inline" in kinds
    assert line == flat(f"run {text} now") or flat(line) == flat(f"run {text} now")


@given(st.lists(TEXT).map("\n".join))
@example("```\nx")
@example("a\n`````\nb")
def test_a_listing_keeps_its_lines_and_ends_where_it_ends(text):
    tokens = MarkdownIt("commonmark").parse(shown(Listing(text, "yaml"), Paragraph("after")))
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].info == "yaml"
    kept = [document.clean(line).rstrip() for line in text.strip("\n").split("\n")]
    assert tokens[0].content.rstrip("\n").split("\n") == "\n".join(kept).rstrip("\n").split("\n")


def test_a_table_reads_well_as_text_too():
    table = Table(["class", "images"], [["a", "5"], ["owl | x", "1,000"], ["y" * 50, "1"]], right=1)
    assert shown(Table(table.columns, table.rows[:2], right=1)) == (
        "| class    | images |\n"
        "|----------|-------:|\n"
        "| a        |      5 |\n"
        "| owl \\| x |  1,000 |\n"
    )  # fmt: skip
    assert "| a |      5 |" in shown(table)  # one long cell does not stretch the others


def test_names_with_underscores_stay_readable():
    assert shown(Paragraph("fashion_mnist and val_accuracy (87.5%)")) == "fashion_mnist and val_accuracy (87.5%)\n"


def test_pictures_lie_beside_or_are_left_out():
    picture = Picture("a-1-curves.png", "loss [x]", b"png")
    made = Document("t", [], [Section("s", [picture, Paragraph("p")])])
    assert document.markdown(made) == "# t\n\n## s\n\n![loss \\[x\\]](a-1-curves.png)\n\np\n"
    assert document.markdown(made, pictures=False) == "# t\n\n## s\n\np\n"
    assert made.pictures() == {"a-1-curves.png": b"png"}


# --- HTML


@given(TEXT)
def test_a_text_means_nothing_to_html_wherever_it_stands(text):
    blocks = [
        Paragraph([text, Code(text)]), Bullets([text]), Terms([(text, text)]), Table([text], [[text]], right=1),
        Listing(text), Picture("f.png", text, b"png"),
    ]  # fmt: skip
    empty = [
        Paragraph(["", Code("")]), Bullets([""]), Terms([("", "")]), Table([""], [[""]], right=1), Listing(""),
        Picture("f.png", "", b"png"),
    ]  # fmt: skip
    page = Page(document.html(Document(text, blocks, [Section(text, blocks)])))
    assert page.tags == Page(document.html(Document("", empty, [Section("", empty)]))).tags
    assert not text.strip() or page.text.count(document.clean(text)) >= 19
    assert {name for name, _ in page.attributes} <= {
        "lang", "charset", "name", "content", "http-equiv", "class", "scope", "src", "alt",
    }  # fmt: skip


def test_a_page_needs_nothing_else_and_runs_nothing():
    page = document.html(Document("t", [], [Section("s", [Picture("f.png", "c", b"\x89PNG")])]))
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?:|\son\w+=", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_numbers_stand_at_the_right_in_both_forms():
    table = Table(["a", "b"], [["x", "1"]], right=1)
    page = document.html(Document("t", [table], []))
    assert '<th scope="col">a</th><th scope="col" class="n">b</th>' in page
    assert '<td>x</td><td class="n">1</td>' in page


# --- what is shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc\rd", "a b c d"),
        ("\x1b[31m", "\ufffd[31m"),
        ("\x9b31m\x7f\x00", "\ufffd31m\ufffd\ufffd"),
        ("a\u202eb\u2066", "a\ufffdb\ufffd"),
        ("\ud800", "\ufffd"),
        ("\u2028\u2029", "\ufffd\ufffd"),
        ("é ß 猫 👩\u200d🔬", "é ß 猫 👩\u200d🔬"),
    ],
)
def test_what_would_turn_or_command_a_terminal_is_not_shown(text, expected):
    assert document.clean(text) == expected
    document.clean(text).encode()


@given(st.text())
def test_a_clean_text_is_one_line_without_controls(text):
    cleaned = document.clean(text)
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in cleaned)
    assert document.clean(cleaned) == cleaned
