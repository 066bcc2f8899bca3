import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tailorbird.pages.document import Bullets, Code, Document, Listing, Paragraph, Picture, Section, Table, Terms, clean
from tailorbird.pages.markdown import as_markdown
from tests.pages import TEXT

PLAIN = {"text", "paragraph_open", "paragraph_close", "text_special", "inline"}


def flat(text):
    """Text as it is read: what space there is does not count."""
    return re.sub(r"\s+", " ", clean(text)).strip()


def rendered(markdown):
    """The types of tokens, and the text of each line of text, cell or heading."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    inner = [token.children for token in tokens if token.type == "inline"]
    kinds = {token.type for token in tokens} | {child.type for children in inner for child in children}
    return kinds, [re.sub(r"\s+", " ", "".join(child.content for child in children)).strip() for children in inner]


def shown(*blocks, pictures=True):
    return as_markdown(Document("t", blocks, []), pictures=pictures).removeprefix("# t\n\n")


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
    kept = [clean(line).rstrip() for line in text.strip("\n").split("\n")]
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
    assert as_markdown(made) == "# t\n\n## s\n\n![loss \\[x\\]](a-1-curves.png)\n\np\n"
    assert as_markdown(made, pictures=False) == "# t\n\n## s\n\np\n"
    assert made.pictures() == {"a-1-curves.png": b"png"}
