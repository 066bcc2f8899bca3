"""Pages: all pages of the project share a shell, a style sheet and a Content-Security-Policy.

Texts, tables and pictures are a `document.Document`, rendered by `html.as_html` and `markdown.as_markdown`. Any
other page is a template of its room that extends the shell, as in `serving/templates/drift.html`:

    {% extends "shell.html" %}
    {% block body %}
    <p>{{ model }} is {{ state }}</p>
    {% endblock %}

and `html.page("serving", "drift.html", title="Drift", model=model, state=state, script=SCRIPT)` renders it. Values are
escaped, and stripped of control characters. A page runs only its `script`, which may send requests to its own server;
attributes like `onclick` or `style` have no effect. All styles are in `style.css`, for light and dark, and for widths
from 400 pixels on.
"""
