"""What holds for every picture."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def no_warnings():
    """Matplotlib warns where a picture has no room for what stands around it, and draws it cut off."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def texts(monkeypatch):
    """What was written into the pictures drawn so far, in the order of drawing, without what is empty."""
    from matplotlib.text import Text

    texts, seen = [], {}
    draw = Text.draw

    def noting(self, renderer, *rest, **more):
        if self.get_visible() and self.get_text() and self not in seen:  # layouts draw more than once
            seen[self] = texts.append(self.get_text())
        return draw(self, renderer, *rest, **more)

    monkeypatch.setattr(Text, "draw", noting)
    return texts
