import pytest
from matplotlib.figure import Figure

from tests.pictures import pixels
from training.plots import style


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 13 + "…" + "x" * 6),
        ("a class of Canidae, the fox", "a class of Ca…he fox"),
        ("_hidden", " _hidden"),
        ("two\nlines\t", "two lines "),
        ("from $1 to $2", r"from \$1 to \$2"),
    ],
)
def test_a_name_is_cut_to_one_line_and_is_no_formula(name, shown):
    assert style.short(name) == shown


def test_what_the_font_cannot_draw_is_a_box_and_no_warning():
    figure = Figure(figsize=(3, 3))
    figure.subplots().set_title("鸟")
    pixels(style.png(figure))


def luminance(color):
    """Relative, from 0 to 1, by WCAG 2."""
    parts = [part / 255 for part in bytes.fromhex(color[1:])]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("color", [style.RIGHT, style.WRONG])
def test_words_in_colour_can_be_read_on_white(color):
    assert 1.05 / (luminance(color) + 0.05) >= 4.5


@pytest.mark.parametrize("width", [4, 9])
def test_a_title_has_room_for_all_of_itself(width):
    figure = Figure(figsize=(width, 3), layout="constrained")
    figure.subplots()
    text = r"$\frac{$: a sweep with depth 2, width 16, dropout 0.433, lr 0.00332, epochs 5: 66.67% right"
    style.title(figure, f"{text}\nof 30 test examples")
    style.png(figure)
    (title,) = figure.texts
    assert title.get_text().replace("\n", " ") == text.replace("$", r"\$") + " of 30 test examples"
    box = title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
