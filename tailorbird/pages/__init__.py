"""Pages: all pages of the project share a shell, a style sheet and a Content-Security-Policy.

Texts, tables and pictures are a `document.Document`, which `html.as_html` and `markdown.as_markdown` write out. Any
other page is a template of its room that extends the shell, as in `serving/templates/drift.html`:

    {% extends "shell.html" %}
    {% block body %}
    <p>{{ model }} is {{ state }}</p>
    {% endblock %}

and `html.page("serving", "drift.html", title="Drift", model=model, state=state, script=SCRIPT)` writes it out. Values
are shown as they are: escaped, and without control characters. A page runs just its `script`, which may ask the server
that it came from; attributes like `onclick` or `style` do nothing. What a page needs of style stands in `style.css`,
for light and dark, and for widths from 400 pixels on.
"""
