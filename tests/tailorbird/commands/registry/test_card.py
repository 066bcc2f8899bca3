import pytest

from registry.core import Registry
from tailorbird.settings import Settings
from tests import packages


@pytest.fixture
def registered(tmp_path):
    with Registry(Settings(home=tmp_path / "home", _env_file=None)) as registry:
        packages.register(registry, environment_txt=b"torch==\x1b[31m2\n")
        packages.register(registry)


def test_a_card_is_printed_without_pictures_that_nobody_has(tailorbird, registered):
    result = tailorbird("registry", "card", "pets:1")
    assert result.returncode == 0
    assert result.stdout.startswith("# pets:1\n\nA classifier of images into 3 classes")
    assert result.stdout.endswith("```\n") and "![" not in result.stdout
    assert "\x1b" not in result.stdout and "torch==\ufffd[31m2" in result.stdout


def test_a_card_is_written_as_markdown_or_html(tailorbird, registered, tmp_path):
    result = tailorbird("registry", "card", "pets:2", "cards/pets.md")
    assert result.returncode == 0
    assert result.stdout == "".join(
        f"wrote cards/{name}\n" for name in ("pets-2-confusion.png", "pets-2-curves.png", "pets.md")
    )
    assert tailorbird("registry", "card", "pets:2", "pets.html").stdout == "wrote pets.html\n"
    assert (tmp_path / "pets.html").read_text().startswith("<!doctype html>")
    refused = tailorbird("registry", "card", "pets:1", "pets.html")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "pets.html already exists with other content; overwrite it with --force" in refused.stderr
    assert tailorbird("registry", "card", "pets:1", "pets.html", "--force").returncode == 0
    assert "<h1>pets:1</h1>" in (tmp_path / "pets.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pets:2", "card.pdf"], "error: path: card.pdf is neither Markdown nor HTML"),
        (["pets:9"], "error: version: there is no pets:9"),
        (["pets@nobody", "x.html"], "error: alias: there is no pets@nobody"),
    ],
)
def test_wrong_input_is_one_sentence(tailorbird, registered, words, sentence):
    result = tailorbird("registry", "card", *words)
    assert result.returncode == 2
    assert result.stderr.startswith(sentence) and result.stderr.count("\n") == 1
