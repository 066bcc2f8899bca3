"""Pages as HTML, each a self-contained file for light and dark screens and for print."""

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tailorbird.pages.document import Block, Code, Document, Inline, clean, lines, parts

HERE = "tailorbird.pages"
PLAIN = " ,:;=/()"
"""What stands in a drawing as it is, beside letters and digits; base64 would take a third more."""


def as_html(document: Document, script: str = "") -> str:
    """A document as a page."""
    return page(HERE, "document.html", title=document.title, document=document, script=script)


def page(room: str, template: str, *, title: str, script: str = "", **values: Any) -> str:
    """A template of a package's folder `templates` as a page; see `tailorbird.pages`."""
    style = _style()
    policy = _policy(style, script)
    source = _environment(room).get_template(template)
    return source.render(values, title=title, script=Markup(script), style=Markup(style), policy=policy)  # noqa: S704


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy that allows only this style and this script."""
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "img-src data: blob:"]
    rules.append(f"style-src '{_digest(style)}'")
    if script:
        rules += [f"script-src '{_digest(script)}'", "connect-src 'self'"]
    return "; ".join(rules)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _style() -> str:
    return resources.files(HERE).joinpath("style.css").read_text()


@cache
def _environment(room: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader(HERE)]),
        autoescape=True,
        finalize=_shown,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "data_url": _data_url,
        "kind": _kind,
        "listing": _listing,
        "marked": _marked,
        "svg_url": _svg_url,
    }
    return environment


def _shown(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _kind(block: Block) -> str:
    return type(block).__name__


def _marked(text: Inline) -> Markup:
    return Markup().join(_code(part) if isinstance(part, Code) else escape(clean(part)) for part in parts(text))


def _code(code: Code) -> Markup:
    return Markup("<code>{}</code>").format(clean(code.text))


def _listing(text: str) -> Markup:
    return escape("\n".join(lines(text)))


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _svg_url(svg: str) -> str:
    """An SVG as an image, which runs no script and inherits nothing from the page."""
    return f"data:image/svg+xml,{quote(svg, safe=PLAIN)}"
