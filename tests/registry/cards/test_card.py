import re
from dataclasses import replace
from html import escape

import pytest
from markdown_it import MarkdownIt

from registry import aliases, versions
from registry.cards import card, facts
from registry.core import Registry
from registry.requests import Promotion
from tailorbird.errors import InvalidInput, Unavailable
from tailorbird.package.baseline import Score
from tailorbird.package.measurements import Latency, Parity
from tailorbird.package.signature import Signature
from tests import packages

EVIL = ("<script>alert(1)</script>", "a|b`c`", "[x](javascript:alert(1))")


@pytest.fixture
def registry(embedded):
    with Registry(embedded) as opened:
        yield opened


def gather(registry, **made):
    version = packages.register(registry, **made)
    return facts.gather(registry, versions.resolve(registry, str(version)))


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_a_card_says_what_the_registry_knows(registry):
    version = packages.register(registry)
    aliases.promote(registry, Promotion("pets", 1, why="the first one", who="bob"))
    versions.tag(registry, version, {"team": "night shift"})
    text = card.markdown(facts.gather(registry, versions.resolve(registry, "pets")))
    assert text.startswith("# pets:1\n\nA classifier of images into 3 classes, which answers 83.33% of held-out images")
    assert "rightly (95% interval 71.97% to 90.69%)." in text

    model = section(text, "Model")
    for line in (
        "**Aliases**: champion", "by ada", "**Architecture**: family mlp, depth 2", "**3 classes**: cat, dog, owl",
        "**Input**: grey images of 28 × 28 pixels", "temperature 1.5", "**Tag team**: night shift", version.manifest,
    ):  # fmt: skip
        assert line in model
    assert "tailorbird serve pets:1\ncurl -H 'content-type: image/png'" in section(text, "Intended use")
    assert "# uint8 [N, 28, 28]" in section(text, "Intended use")

    section_text = section(text, "How it was made")
    for line in (
        "**Sweep**: pets-1, trial 3", "of epoch 2 of 2, train loss 0.5, val accuracy 0.8", "**Data**: pets\n",
        "**Split**: validation 0.1, split_seed 0", "`" + "ab" * 32 + "`", "**Champion at that time**: none",
        "**Code**: tailorbird 0.1.0", "```yaml\nmodel:\n  family: mlp", "torch==2.13.0",
    ):  # fmt: skip
        assert line in section_text

    results = section(text, "Results")
    assert re.search(r"\| held-out \| +83.33% \| +4.78% \| 71.97% to 90.69% \| +60 \|", results)
    assert re.search(r"\| test +\| +83.33% \| +2.64% \| 77.55% to 87.86% \| +200 \|", results)
    classes = section(text, "Results by class")
    assert re.search(r"\| owl +\| dog \(4\) +\| +100.00% \| 65.00% \| 43.3% to 81.9% \| +20 \|", classes)
    assert "](pets-1-confusion.png)" in classes and "](pets-1-curves.png)" in classes
    assert "2.00 points" in section(text, "Confidence") and "85.33%" in section(text, "Confidence")
    assert re.search(r"\| 0.8 to 0.9 \| +60 \| +50 \| +83.3% \|", section(text, "Confidence"))

    export = section(text, "Export, speed and size")
    assert "agrees with torch on 100.00% of labels" in export and "60 held-out images compared" in export
    assert "0.5 ms in the median, 1.25 ms at the 99th percentile of 100 runs with 1 threads" in export
    assert "**model.onnx**: 1 bytes" in export

    history = section(text, "Gates and history")
    assert re.search(r"\| parity +\| passed \|", history)
    assert re.search(r"\| champion \| moved to it, was unset \| bob \| the first one \|", history)
    assert "Of class owl, 13 of 20" in section(text, "Limits")


def test_a_refusal_and_a_forced_move_say_what_failed(registry):
    packages.register(registry, confusion=((20, 0, 0), (0, 20, 0), (0, 0, 20)))
    packages.register(registry, confusion=((10, 10, 0), (10, 10, 0), (10, 0, 10)))
    aliases.promote(registry, Promotion("pets", 1, why="first", who="ada"))
    aliases.promote(registry, Promotion("pets", 2, why="a try", who="ada", force=True))
    history = section(card.markdown(facts.gather(registry, versions.resolve(registry, "pets:2"))), "Gates and history")
    assert re.search(r"\| champion +\| FAILED \| ", history)
    assert re.search(r"moved to it, was at version 1, although [^|]*points", history)


def test_a_version_that_was_never_judged(registry):
    text = card.markdown(gather(registry))
    assert "No gate has evaluated it, and no alias has pointed to it." in section(text, "Gates and history")
    assert "**Aliases**: none" in text


def test_missing_facts_are_not_made_up(registry):
    facts = gather(registry, curves_png=b"none", confusion_png=b"none")
    unknown = {
        "parity": Parity(agreement=None, max_difference=None, samples=None),
        "latency": Latency(p50_ms=0.5, p99_ms=None, runs=3, threads=1),
    }
    evidence = facts.version.evidence.model_copy(update=unknown).record()
    version = replace(facts.version, columns={"evidence": evidence, "lineage": {"note": {"room": "elsewhere"}}})
    unmeasured = facts.contents.baseline.model_copy(
        update={"calibration_error": None, "test": Score(accuracy=0.5, samples=0)}
    )
    bare = replace(
        facts, version=version, contents=replace(facts.contents, by_class=(), config={}, baseline=unmeasured)
    )
    text = card.markdown(bare)
    assert "**Sweep**: not recorded, trial not recorded" in text and "**Data**: not recorded" in text
    assert "**note.room**: elsewhere" in text
    assert "**Architecture**: not recorded" in text
    assert re.search(r"\| test +\| +50.00% \| +- \| +- \| +- \|", text)
    assert "**Expected calibration error**: not measured" in text
    assert "## Results by class" not in text and "![" not in text and "**Parity**: not measured" in text
    assert "0.5 ms in the median, not recorded ms" in text
    assert "<h1>pets:1</h1>" in card.html(bare)


def test_a_backbone_is_told_with_where_its_weights_came_from(registry):
    known = {"backbone": "nets:own", "source": "own.safetensors", "sha256": "cd" * 32}
    recorded = {"licence": "MIT", "images": "a million birds"}
    for number, (more, licence, images) in enumerate(
        (({}, "not recorded", "not recorded"), (recorded, "MIT", "a million birds")), 1
    ):
        gathered = gather(registry, lineage={"sweep": f"pets-{number}", "backbone": {**known, **more}})
        text = section(card.markdown(gathered), "How it was made")
        for line in (
            "**Pretrained backbone**: nets:own", f"**Pretrained on**: {images}",
            f"**Its weights**: own.safetensors; licence: {licence}", "`" + "cd" * 32 + "`",
        ):  # fmt: skip
            assert line in text


def test_a_model_of_tables_is_called_with_rows(registry):
    facts = gather(registry)
    changes = {"kind": "table", "columns": ["age", "height"], "dtype": "float32", "shape": [2]}
    signature = Signature.of({**facts.contents.signature.record(), **changes})
    text = card.markdown(replace(facts, contents=replace(facts.contents, signature=signature)))
    assert "A classifier of rows into 3 classes" in text
    assert "-d '{\"inputs\": [[…]]}'" in text and "float32 [N, 2]" in text and "image/png" not in text


def test_many_classes_are_listed_in_the_table(registry):
    classes = tuple(f"c{index}" for index in range(40))
    confusion = [[int(row == column) for column in range(40)] for row in range(40)]
    text = card.markdown(gather(registry, classes=classes, confusion=confusion))
    assert "c28, c29 and 10 more, listed below" in text
    assert section(text, "Results by class").count("\n| c") == 41


def test_names_and_reasons_of_others_mean_nothing_in_either_form(registry):
    version = packages.register(
        registry,
        classes=EVIL,
        environment_txt=b"```\n<script>\n",
        lineage={"sweep": EVIL[0], EVIL[1]: EVIL[2]},
    )
    aliases.promote(registry, Promotion("pets", 1, why=f"{EVIL[0]}\n\n# {EVIL[2]} | x", who=EVIL[1]))
    versions.tag(registry, version, {"note": EVIL[2]})
    result = facts.gather(registry, versions.resolve(registry, "pets"))
    page, tokens = card.html(result), MarkdownIt("commonmark").enable("table").parse(card.markdown(result))
    assert "<script" not in page and all(escape(one) in page for one in EVIL)
    inner = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in (*tokens, *inner)}
    assert not kinds & {"html_block", "html_inline", "link_open", "heading_3_open"}
    assert [token.content for token in tokens if token.type == "fence"][-1] == "```\n<script>\n"
    plain = "\n".join(token.content for token in inner if token.type in ("text", "text_special"))
    assert plain.count("alert(1)") >= 8
    headings = [tokens[index + 1].content for index, token in enumerate(tokens) if token.type == "heading_open"]
    assert len(headings) == 10


def test_the_page_holds_its_pictures(registry):
    page = card.html(gather(registry))
    assert page.count('<img src="data:image/png;base64,') == 2


# --- written


def test_markdown_is_written_with_its_pictures_beside_it(registry, tmp_path):
    facts = gather(registry)
    folder = tmp_path / "deep" / "er"
    written = card.write(facts, folder / "README.md")
    assert [path.name for path in written] == ["pets-1-confusion.png", "pets-1-curves.png", "README.md"]
    text = (folder / "README.md").read_text()
    assert all((folder / name).read_bytes() == data for name, data in card.files(facts).items())
    assert set(re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)) == card.files(facts).keys()
    assert "![" not in card.markdown(facts, pictures=False)


def test_html_is_one_file(registry, tmp_path):
    facts = gather(registry)
    assert card.write(facts, tmp_path / "Card.HTML") == [tmp_path / "Card.HTML"]
    assert (tmp_path / "Card.HTML").read_text() == card.html(facts)
    assert [path.name for path in tmp_path.glob("*.*")] == ["Card.HTML"]


@pytest.mark.parametrize("name", ["card", "card.pdf", "card.md.txt", ".md"])
def test_another_suffix_is_refused_before_anything_is_written(registry, tmp_path, name):
    with pytest.raises(InvalidInput, match=r"accepted: a name that ends in \.md or \.html"):
        card.write(gather(registry), tmp_path / "cards" / name)
    assert not (tmp_path / "cards").exists()


@pytest.mark.parametrize("name", ["card.md", "pets-1-curves.png"])
def test_what_is_there_is_not_overwritten_unasked(registry, tmp_path, name):
    facts = gather(registry)
    (tmp_path / name).write_text("mine")
    with pytest.raises(InvalidInput, match=f"{name} already exists with other content; overwrite it with --force"):
        card.write(facts, tmp_path / "card.md")
    assert [path.name for path in tmp_path.glob("*.*")] == [name] and (tmp_path / name).read_text() == "mine"
    card.write(facts, tmp_path / "card.md", overwrite=True)
    assert (tmp_path / "card.md").read_text() == card.markdown(facts)
    card.write(facts, tmp_path / "card.md")  # the same again is no overwriting


def test_a_place_that_cannot_be_written_is_named(registry, tmp_path):
    facts = gather(registry)
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match=f"{tmp_path / 'file'}.* cannot be written: "):
        card.write(facts, tmp_path / "file" / "card.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(Unavailable, match=r"folder\.html cannot be written: Is a directory"):
        card.write(facts, tmp_path / "folder.html")
