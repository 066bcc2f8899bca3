import base64
import hashlib
import re
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from jinja2 import UndefinedError

from tailorbird.pages import html
from tailorbird.pages.document import Bullets, Code, Document, Listing, Paragraph, Picture, Section, Table, Terms, clean
from tailorbird.pages.html import as_html
from tests.pages import TEXT


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
    page = Page(as_html(Document(text, blocks, [Section(text, blocks)])))
    assert page.tags == Page(as_html(Document("", empty, [Section("", empty)]))).tags
    assert not text.strip() or page.text.count(clean(text)) >= 19
    assert {name for name, _ in page.attributes} <= {
        "lang", "charset", "name", "content", "http-equiv", "rel", "href", "class", "scope", "src", "alt", "tabindex",
    }  # fmt: skip
    assert [value for name, value in page.attributes if name == "href"] == ["data:,"]  # no icon


def test_a_page_needs_nothing_else_and_runs_nothing():
    page = as_html(Document("t", [], [Section("s", [Picture("f.png", "c", b"\x89PNG")])]))
    assert 'src="data:image/png;base64,iVBORw=="' in page
    assert not re.search(
        r"<script|<link(?! rel=\"icon\" href=\"data:,\">)|<iframe|@import|url\(|https?:|\son\w+=", page
    )
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_numbers_stand_at_the_right_in_both_forms():
    table = Table(["a", "b"], [["x", "1"]], right=1)
    page = as_html(Document("t", [table], []))
    assert '<th scope="col">a</th><th scope="col" class="n">b</th>' in page
    assert '<td>x</td><td class="n">1</td>' in page


def rules(page):
    """Its Content-Security-Policy, by directive."""
    (policy,) = (
        value for name, value in Page(page).attributes if name == "content" and value.startswith("default-src")
    )
    return {name: values for name, *values in (rule.split() for rule in policy.split("; "))}


def digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_lets_its_own_style_through_and_nothing_else():
    page = as_html(Document("t", [], []))
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert rules(page) == {
        "default-src": ["'none'"], "base-uri": ["'none'"], "form-action": ["'none'"], "img-src": ["data:", "blob:"],
        "style-src": [digest(style)],
    }  # fmt: skip


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package with a template of its own."""
    folder = tmp_path / "greeting" / "templates"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "hello.html").write_text(
        '{% extends "shell.html" %}{% block body %}<p title="{{ name }}">{{ name }}</p>{% endblock %}'
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "greeting"
    sys.modules.pop("greeting", None)
    html._environment.cache_clear()


def test_a_room_makes_pages_of_templates_of_its_own(room):
    script = "document.title = '<&>'"
    page = html.page(room, "hello.html", title="Hello", name='"<b>\x1b', script=script)
    assert '<p title="&#34;&lt;b&gt;\ufffd">&#34;&lt;b&gt;\ufffd</p>' in page and "<h1>Hello</h1>" in page
    assert f"<script>{script}</script>" in page
    assert rules(page)["script-src"] == [digest(script)] and rules(page)["connect-src"] == ["'self'"]
    assert "<script" not in html.page(room, "hello.html", title="Hello", name="you")


def test_a_value_that_a_template_misses_is_a_defect(room):
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        html.page(room, "hello.html", title="Hello")
