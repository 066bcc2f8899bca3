"""A real browser for pages that are opened from their file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
WIDTHS = (400, 1280)
"""Pixels of a phone and of a desk."""


@contextmanager
def opened(page: Path) -> Iterator[list[Page]]:
    """The page at each of the widths, which it fits without scrolling sideways."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        windows = []
        for width in WIDTHS:
            window = browser.new_page(viewport={"width": width, "height": 800})
            window.goto(page.as_uri())
            assert window.evaluate("document.documentElement.scrollWidth") == width
            windows.append(window)
        yield windows
