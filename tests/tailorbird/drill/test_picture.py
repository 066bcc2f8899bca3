from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tailorbird.drill import picture
from tailorbird.drill.replay import Step
from training.plots import style


def step(minute, state, action="none"):
    return Step(minute, minute > 0, 1, 0.9, state, action, {"fitted": 0.88, "mix_moves": None}, 0.9, 0.8, 0.95)


def test_the_legend_names_the_states_that_were_in_their_colors(monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(style, "png", lambda figure: drawn.append(figure) or b"")
    picture.draw([step(0, "too little data"), step(1, "healthy"), step(2, "drifted", "alert")], "pets")
    (legend,) = drawn[0].legends
    patches = {text.get_text(): handle for text, handle in zip(legend.texts, legend.legend_handles, strict=True)}
    states = {name: to_hex(patches[name].get_facecolor()) for name in picture.COLORS if name in patches}
    assert states == {name: picture.COLORS[name] for name in ("healthy", "drifted", "too little data")}
