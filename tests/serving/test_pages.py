"""The pages in a real browser, which tells on the console what a policy refused, and which hosts were asked."""

import io
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tailorbird.package.samples import Samples
from tests.browsers import CHROMIUM

TOKEN = "a secret töken"
SECONDS = 60
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@dataclass
class Servers:
    images: object
    rows: object


@dataclass
class Visit:
    """A page that was opened; `errors` of its console, `hosts` that it asked, be it in vain."""

    page: Page
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self, url: str) -> Page:
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.goto(url)
        return self.page

    def check(self, url: str) -> None:
        assert self.errors == []
        assert self.hosts - {""} == {urlsplit(url).netloc}


@pytest.fixture(scope="module")
def servers(start, settings, register, toy) -> Servers:
    """One of images, and one of rows that asks for a token."""
    images = np.random.default_rng(3).integers(0, 256, (10, 28, 28), np.uint8)
    labels = toy.probabilities(images).argmax(1).astype(np.int32)
    register(settings, "page", toy.files() | {"samples.npz": Samples(images, labels).encode()})
    table = type(toy).make((3,), ("low", "high"), seed=4)
    register(settings, "rows", table.files())
    running = [start(settings, "page"), start(settings, "rows", TAILORBIRD_API_TOKEN=TOKEN)]
    return Servers(*[server.wait() for server in running])


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme="dark")
    context.set_default_timeout(1000 * SECONDS)
    expect.set_options(timeout=1000 * SECONDS)
    yield Visit(context.new_page())
    context.close()


def drawn(page: Page) -> np.ndarray:
    """The pixels of what the model sees [H, W]."""
    script = "({ width, height }) => [...seen.getContext('2d').getImageData(0, 0, width, height).data]"
    size = page.locator("#seen").evaluate("(canvas) => ({ width: canvas.width, height: canvas.height })")
    return np.array(page.evaluate(script, size), np.uint8).reshape(size["height"], size["width"], 4)[..., 0]


def violations(page: Page) -> list[str]:
    return [f"{rule['id']}: {rule['nodes']}" for rule in Axe().run(page).response["violations"]]


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def feedback(server) -> float:
    lines = re.findall(
        r'^tailorbird_feedback_total\{.*model="page".*\} (\S+)$', server.client.get("/metrics").text, re.M
    )
    return sum(map(float, lines))


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(56 * 56, dtype=np.uint8).reshape(56, 56)).save(buffer, "PNG")
    return buffer.getvalue()


def test_draw_answer_and_feedback(servers, visit):
    page, before = visit.open(servers.images.url), feedback(servers.images)
    expect(page.get_by_text("page:1 is ready")).to_be_visible()
    assert drawn(page).tolist() == [[0] * 28] * 28  # the board of a model is as its pictures are
    box = page.locator("#drawing").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)  # a line in the upper left corner
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 120, steps=5)
    page.mouse.up()
    expect(page.locator("#answer")).to_contain_text("with a probability of")
    expect(page.locator("#bars tr")).to_have_count(10)
    rows, columns = np.nonzero(drawn(page) > 100)
    assert abs(rows.mean() - 13.5) < 1 and abs(columns.mean() - 13.5) < 1  # it stands in the middle
    assert 18 <= np.ptp(rows) + 1 <= 22
    assert violations(page) == []
    page.get_by_role("button", name="Wrong").click()
    page.get_by_label("True class").select_option("seven")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#thanks")).to_have_text("Thank you, the label was saved.")
    assert feedback(servers.images) == before + 1
    assert fits(page)
    visit.check(servers.images.url)


def test_draw_by_keys_and_by_buttons(servers, visit):
    page = visit.open(servers.images.url)
    expect(page.get_by_text("page:1 is ready")).to_be_visible()
    page.get_by_label("Drawing board").focus()
    for key in (" ", "ArrowDown", "ArrowDown", "ArrowDown", " "):
        page.keyboard.press(key)
    expect(page.locator("#answer")).to_contain_text("with a probability of")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#result")).to_be_hidden()
    page.get_by_role("button", name="Pen", exact=True).click()
    page.get_by_role("button", name="Move the pen right").click()
    expect(page.locator("#answer")).to_contain_text("with a probability of")
    visit.check(servers.images.url)


@pytest.mark.parametrize("how", ["chosen", "drop", "paste"])
def test_a_file(servers, visit, how):
    page = visit.open(servers.images.url)
    expect(page.get_by_text("page:1 is ready")).to_be_visible()
    if how == "chosen":
        page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": picture()})
    else:
        script = """([kind, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "x.png", { type: "image/png" }));
          const event = kind === "drop" ? new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent(kind, { clipboardData: data, bubbles: true });
          document.body.dispatchEvent(event);
        }"""
        page.evaluate(script, [how, list(picture())])
    expect(page.locator("#answer")).to_contain_text("with a probability of")
    response = servers.images.client.post("/pixels", content=picture(), headers={"Content-Type": "image/png"})
    assert drawn(page).tolist() == response.json()["inputs"][0]
    visit.check(servers.images.url)


def test_a_sample(servers, visit):
    page = visit.open(servers.images.url)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="sample 3: ").click()
    expect(page.locator("#answer")).to_contain_text("That is right.")
    assert violations(page) == []
    picture, answer = (page.locator(name).bounding_box() for name in ("#picture", "#result"))
    assert answer["x"] > picture["x"] + picture["width"] and answer["y"] == picture["y"]  # beside it
    assert fits(page)
    page.get_by_role("button", name="Right", exact=True).click()
    expect(page.locator("#thanks")).to_have_text("Thank you, the label was saved.")
    visit.check(servers.images.url)


def test_what_is_no_picture_is_said_in_sight_and_leaves_no_older_answer(servers, visit):
    page = visit.open(servers.images.url)
    page.get_by_role("button", name="sample 3: ").click()
    expect(page.locator("#answer")).to_contain_text("That is right.")
    page.locator("#samples").scroll_into_view_if_needed()
    page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.locator("#state")).to_contain_text("is not a PNG, JPEG or WebP image")
    expect(page.locator("#state")).to_be_in_viewport()
    expect(page.locator("#result")).to_be_hidden()
    assert drawn(page).tolist() == [[0] * 28] * 28
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#file").input_value() == ""


def test_rows_behind_a_token(servers, visit):
    page = visit.open(servers.rows.url)
    page.get_by_label("API token").fill("another")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#state")).to_have_text("The endpoint rejected this token.")
    assert violations(page) == []
    page.get_by_label("API token").fill(TOKEN)
    page.keyboard.press("Enter")
    for column, value in enumerate(("1.5", "-2", "1e-3")):
        page.get_by_label(f"column {column}").fill(value)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("with a probability of")
    assert violations(page) == []
    assert fits(page)
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


@pytest.mark.parametrize("model", ["images", "rows"])
def test_the_card(servers, visit, model):
    """Behind a token too, which a link cannot carry."""
    server = getattr(servers, model)
    page = visit.open(server.url)
    if model == "rows":
        page.get_by_label("API token").fill(TOKEN)
        page.keyboard.press("Enter")
    page.get_by_role("link", name="Model card, with curves and confusion matrix").click()
    name = "page:1" if model == "images" else "rows:1"
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Results by class")).to_be_visible()
    assert violations(page) == []
    assert fits(page)


def test_the_monitoring_page_behind_a_token(servers, visit):
    page = visit.open(servers.rows.url + "/drift")
    page.get_by_label("API token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("rows:1: ")
    expect(page.locator("#classes td").first).to_be_visible()
    assert violations(page) == []
    assert fits(page)


def test_what_is_known_of_accuracy(servers, visit):
    octets = {"content-type": "application/octet-stream"}
    assert servers.images.client.post("/predict", content=bytes(28 * 28) * 300, headers=octets).is_success
    page = visit.open(f"{servers.images.url}/drift")
    expect(page.get_by_text("page:1: too little data to judge its accuracy")).to_be_visible()
    expect(page.locator("#accuracy tr")).to_have_count(5)
    expect(page.locator("#accuracy")).to_contain_text("87.5%")
    expect(page.locator("#classes tr")).to_have_count(11)
    expect(page.locator("#latency")).to_contain_text("ms at most")
    expect(page.locator("#versions")).to_contain_text("promote champion to 1")
    assert violations(page) == []
    assert fits(page)
    visit.check(servers.images.url)


def test_the_routes_are_shown(servers, visit):
    page = visit.open(servers.images.url + "/docs")
    expect(page.get_by_text("Answers for grey images of 28 × 28 pixels.")).to_be_visible()
    shown = page.locator("#routes h2").all_text_contents()
    described = servers.images.client.get("/openapi.json").json()["paths"]
    assert shown == [f"{method.upper()} {path}" for path, methods in described.items() for method in methods]
    assert violations(page) == []
    assert fits(page)
    visit.check(servers.images.url)
