"""The pages of the endpoint: empty shells, whose scripts fetch their data from the routes."""

from functools import cache
from importlib import resources

from serving.answers import Answer
from tailorbird.pages import html

HTML = "text/html; charset=utf-8"
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest of the policy is in the page
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@cache
def shell(name: str, title: str) -> Answer:
    """The page of a template, with the script that all pages share and the one of the same name."""
    templates = resources.files("serving").joinpath("templates")
    script = "\n".join(templates.joinpath(file).read_text() for file in ("client.js", f"{name}.js"))
    return Answer(html.page("serving", f"{name}.html", title=title, script=script).encode(), HTML, headers=HEADERS)
