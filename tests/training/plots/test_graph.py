from itertools import pairwise

import onnx
import pytest
from onnx import TensorProto, helper

from tailorbird.errors import Corrupt, InvalidInput
from tests.pictures import painted, pixels
from training import models, plots
from training.config import RunConfig, parse
from training.export import ServedModule, to_onnx
from training.models import Normalize
from training.plots import graph


def exported(**family):
    config = parse(RunConfig, {"data": {"name": "digits"}, "model": family})
    network = models.build(config.model, (16, 16), 10, Normalize([100.0], [50.0]))
    return to_onnx(ServedModule(network, "multiclass", 1.5), (16, 16))


@pytest.fixture(scope="module")
def cnn():
    return exported(family="cnn", depth=2, width=[4, 6])


def made(*nodes, outputs=("y",), weights=()):
    """A model of these nodes from `x`, float [N, 4]."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", *outputs)]
    inner = helper.make_graph(list(nodes), "graph", values[:1], values[1:], list(weights))
    return helper.make_model(inner, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def chain(length):
    names = ["x", *(f"h{n}" for n in range(length - 1)), "y"]
    return made(*(helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)))


def test_a_graph_has_its_input_operators_and_outputs_without_constants(cnn):
    result = graph.nodes(cnn)
    kinds = [node.kind for node in result]
    assert kinds[0] == "input" and kinds.count("output") == 2
    assert kinds.count("Conv") == 2 and kinds.count("MaxPool") == 2 and kinds.count("Gemm") == 1
    assert not {"Constant", "Identity"} & set(kinds)
    assert result[0].title == "pixels" and result[0].shape == "N×16×16"
    assert {node.title for node in result[-2:]} == {"logits", "probabilities"}


def test_boxes_say_kernels_channels_widths_and_shapes(cnn):
    shapes = {node.title: node.shape for node in graph.nodes(cnn)}
    assert shapes["Conv 3×3, 1 → 4"] == "N×4×16×16"
    assert shapes["Conv 3×3, 4 → 6"] == "N×6×8×8"
    assert shapes["MaxPool 2×2"] == "N×6×4×4"
    assert shapes["Linear 96 → 10"] == "N×10"


def test_every_tensor_comes_from_a_node_before(cnn):
    for index, node in enumerate(graph.nodes(cnn)):
        assert all(source < index for source in node.sources)
        assert bool(node.sources) == (node.kind != "input")


def test_a_stride_is_told():
    assert "Conv 3×3, 4 → 8, stride 2" in {node.title for node in graph.nodes(exported(family="resnet", width=4))}


@pytest.mark.parametrize("family", [{"family": "linear"}, {"family": "mlp"}, {"family": "resnet", "depth": 6}], ids=str)
def test_graphs_of_each_family_can_be_looked_at(family, texts):
    pixels(plots.model_graph(exported(**family), "the title"), most=3000)
    assert {"the title", "pixels", "logits", "probabilities", "N×10"} <= set(texts)


def test_every_box_is_drawn_once(cnn, texts):
    picture = pixels(plots.model_graph(cnn, "cnn"), most=3000)
    assert sorted(text for text in texts if text.startswith("Conv")) == ["Conv 3×3, 1 → 4", "Conv 3×3, 4 → 6"]
    box = 0.9 * graph.WIDTH * graph.HEIGHT * 110**2
    assert painted(picture, "#cfe2f3") > 2 * box  # two convolutions and a linear layer, less what is written on them
    assert painted(picture, "#cfe2f3") < 3 / 0.9 * box


def placed(model):
    result = graph.nodes(model)
    ranks = graph._ranks(result)
    return result, ranks, graph._places(ranks, graph._columns(result, ranks))


@pytest.mark.parametrize("length", [1, 10, 14, 15, 29, 60])
def test_boxes_never_overlap_and_columns_are_of_about_one_length(length):
    result, _, places = placed(chain(length))
    assert len(set(places.centres)) == len(result)
    columns = [sum(x == at for x, _ in places.centres) for at in {x for x, _ in places.centres}]
    assert max(columns) <= graph.PER_COLUMN and sum(columns) == length + 2
    assert max(columns) <= 2 * min(columns)
    assert all(0 < y < places.height and 0 < x < places.width for x, y in places.centres)


def test_nodes_of_one_rank_stand_side_by_side():
    branches = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Tanh", ["x"], ["b"])]
    result, ranks, places = placed(made(*branches, helper.make_node("Add", ["a", "b"], ["y"])))
    assert ranks == [0, 1, 1, 2, 3]
    (x1, y1), (x2, y2) = places.centres[1:3]
    assert y1 == y2 and abs(x1 - x2) > graph.WIDTH
    assert result[3].sources == (1, 2)


def test_columns_are_cut_where_the_fewest_arrows_pass():
    """A shortcut over the middle of a chain is not torn apart where the cut could lie beside it."""
    names = ["x", *(f"h{n}" for n in range(15))]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    nodes += [helper.make_node("Add", ["h14", "h5"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    result, _, places = placed(made(*nodes))
    start, end = 6, next(index for index, node in enumerate(result) if node.kind == "Add")
    assert places.gutters[start] == places.gutters[end]


@pytest.mark.parametrize("data", [b"", b"poem", b"\x08"])
def test_what_is_no_model_is_one_sentence(data):
    with pytest.raises(Corrupt, match=r"^model\.onnx: is not an ONNX model"):
        plots.model_graph(data, "title")


def test_a_graph_that_nobody_could_look_at_is_refused():
    with pytest.raises(InvalidInput, match=r"^model\.onnx: has 502 nodes"):
        plots.model_graph(chain(500), "title")


def test_names_from_anywhere_are_cut_and_no_formulas(texts):
    node = helper.make_node("$" + "long" * 40, ["x"], ["y"], domain="stranger")
    model = onnx.load_from_string(made(node))
    model.opset_import.append(helper.make_opsetid("stranger", 1))
    pixels(plots.model_graph(model.SerializeToString(), "title"), most=3000)
    assert any(text.startswith(r"\$long") and len(text) < 40 for text in texts)
