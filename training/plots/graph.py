"""A model's graph: the nodes of its ONNX export as boxes, from input to outputs, with arrows where a tensor goes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tailorbird.errors import Corrupt, InvalidInput
from training.plots import style

MOST_NODES = 400
PER_COLUMN = 14
"""The most ranks in a column."""
WIDTH, HEIGHT, PITCH, BESIDE, GUTTER = 2.3, 0.62, 0.98, 0.3, 0.9
"""In inches: the size of a box, and the distances between ranks, between boxes of a rank, and between columns."""
NESTED, TURN = 0.22, 0.18
"""In inches: between arrows that pass by boxes, and from a box to where an arrow bends."""
TITLE, LEAST_WIDTH = 0.6, 4.5
"""Inches."""
FILLS = {
    "#cfe2f3": ("Conv", "ConvTranspose", "Gemm", "MatMul"),
    "#fce5cd": ("MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"),
    "#d9ead3": ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Softmax", "Erf", "HardSwish", "Elu"),
    "#e8d9f0": ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Dropout"),
}
PLAIN, END, EDGE = "#eeeeee", "white", "#444444"
NAMES = {"Gemm": "Linear", "MatMul": "Linear", "BatchNormalization": "BatchNorm"}


@dataclass(frozen=True)
class Node:
    """A box: its operator, its output, and the indices of the nodes of its inputs."""

    kind: str
    title: str
    shape: str
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Places:
    """In inches: the centre of each node, the lane for arrows left of its column, and the whole size."""

    centres: list[tuple[float, float]]
    gutters: list[float]
    width: float
    height: float


def model_graph(model: bytes, title: str) -> bytes:
    """Draw an ONNX model; raises Corrupt if it is not one, InvalidInput if it has too many nodes for a picture."""
    drawn = nodes(model)
    if not drawn:
        raise Corrupt("model.onnx: is not an ONNX model: it has no nodes")
    if len(drawn) > MOST_NODES:
        raise InvalidInput("model.onnx", f"has {len(drawn):,} nodes; accepted: at most {MOST_NODES}")
    ranks = _ranks(drawn)
    places = _places(ranks, _columns(drawn, ranks))
    spare = max(0.0, LEAST_WIDTH - places.width) / 2
    figure = Figure(figsize=(places.width + 2 * spare, places.height + TITLE))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-spare, places.width + spare), ylim=(places.height, -TITLE))
    axes.set_axis_off()
    axes.text(places.width / 2, -TITLE / 2, style.short(title, 80), ha="center", va="center", fontsize=12)
    for index, node in enumerate(drawn):
        _box(axes, node, *places.centres[index])
    _arrows(axes, drawn, ranks, places)
    return style.png(figure)


def nodes(model: bytes) -> list[Node]:
    """Input, operators and outputs of an ONNX model in order, without nodes that depend only on constants."""
    try:
        parsed = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    except Exception as error:  # protobuf and onnx raise many kinds for bytes that are not a model
        raise Corrupt(f"model.onnx: is not an ONNX model: {' '.join(str(error).split())[:200]}") from None
    inner = parsed.graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in inner.initializer}
    shapes = {tensor.name: _shape(tensor) for tensor in (*inner.input, *inner.value_info, *inner.output)}
    drawn: list[Node] = []
    maker: dict[str, int] = {}
    for source in inner.input:
        if source.name not in weights:
            maker[source.name] = len(drawn)
            drawn.append(Node("input", source.name, shapes[source.name], ()))
    for operator in inner.node:
        sources = tuple(dict.fromkeys(maker[name] for name in operator.input if name in maker))
        if sources:
            maker |= {name: len(drawn) for name in operator.output}
            drawn.append(Node(operator.op_type, _title(operator, weights), shapes.get(operator.output[0], ""), sources))
        elif operator.op_type == "Identity" and operator.input[0] in weights:  # the exporter shares equal weights
            weights[operator.output[0]] = weights[operator.input[0]]
    ends = [tensor.name for tensor in inner.output if tensor.name in maker]
    return [*drawn, *(Node("output", name, shapes[name], (maker[name],)) for name in ends)]


def _shape(value: Any) -> str:
    """A shape, such as N×32×14×14."""
    dims = value.type.tensor_type.shape.dim
    return "×".join(str(dim.dim_value) if dim.HasField("dim_value") else "N" for dim in dims)


def _title(node: Any, weights: Mapping[str, tuple[int, ...]]) -> str:
    """A node's operator, with its most important parameters."""
    name = NAMES.get(node.op_type, node.op_type)
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    weight = next((weights[name] for name in node.input if len(weights.get(name, ())) >= 2), ())
    kernel = "×".join(map(str, attributes.get("kernel_shape", ())))
    if node.op_type == "Conv" and len(weight) == 4:
        message = f"{name} {kernel}, {weight[1] * attributes.get('group', 1)} → {weight[0]}"
        stride = attributes.get("strides", [1])[0]
        return message if stride == 1 else f"{message}, stride {stride}"
    if node.op_type in ("Gemm", "MatMul") and len(weight) == 2:
        inputs, outputs = weight[::-1] if attributes.get("transB") else weight
        return f"{name} {inputs} → {outputs}"
    return f"{name} {kernel}".strip()


def _ranks(drawn: Sequence[Node]) -> list[int]:
    """The number of nodes on the longest path to each node."""
    ranks: list[int] = []
    for node in drawn:
        ranks.append(max((ranks[source] + 1 for source in node.sources), default=0))
    return ranks


def _columns(drawn: Sequence[Node], ranks: Sequence[int]) -> list[range]:
    """Ranks in columns of about one length, cut where the fewest arrows pass."""
    last = max(ranks)
    passing = [0] * (last + 1)
    for index, node in enumerate(drawn):
        for source in node.sources:
            for rank in range(ranks[source], ranks[index]):
                passing[rank] += 1
    columns, start = [], 0
    while last - start >= PER_COLUMN:
        left = last + 1 - start
        even = math.ceil(left / math.ceil(left / PER_COLUMN))
        room = range(start + even // 2, start + even)
        cut = min(room, key=lambda rank: (passing[rank], -rank))
        columns.append(range(start, cut + 1))
        start = cut + 1
    return [*columns, range(start, last + 1)]


def _places(ranks: Sequence[int], columns: Sequence[range]) -> Places:
    """Nodes of one rank are placed side by side, the first nodes of all ranks below each other."""
    beside = [[index for index, of in enumerate(ranks) if of == rank] for rank in range(max(ranks) + 1)]
    centres = [(0.0, 0.0)] * len(ranks)
    gutters = [0.0] * len(ranks)
    left = GUTTER
    for column in columns:
        for rank in column:
            for index, node in enumerate(beside[rank]):
                x = left + WIDTH / 2 + index * (WIDTH + BESIDE)
                centres[node] = (x, HEIGHT + (rank - column.start) * PITCH)
                gutters[node] = left - GUTTER / 3
        left += max(len(beside[rank]) for rank in column) * (WIDTH + BESIDE) - BESIDE + GUTTER
    return Places(centres, gutters, left, max(map(len, columns)) * PITCH + HEIGHT)


def _box(axes: Any, node: Node, x: float, y: float) -> None:
    fill = next((color for color, kinds in FILLS.items() if node.kind in kinds), PLAIN)
    ends = node.kind in ("input", "output")
    axes.add_patch(
        FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, edgecolor=EDGE, linewidth=1.6 if ends else 0.8,
            boxstyle=f"round,pad=0,rounding_size={0.3 if ends else 0.06}", facecolor=END if ends else fill, zorder=2,
        )
    )  # fmt: skip
    axes.text(x, y - 0.11, style.short(node.title, 30), ha="center", va="center", fontsize=9.5, zorder=3)
    axes.text(x, y + 0.16, style.short(node.shape, 34), ha="center", va="center", fontsize=8, color=EDGE, zorder=3)


def _arrows(axes: Any, drawn: Sequence[Node], ranks: Sequence[int], places: Places) -> None:
    passing: list[tuple[int, int]] = []  # ranks between which arrows pass boxes by
    for index, node in enumerate(drawn):
        for source in node.sources:
            (x0, y0), (x1, y1) = places.centres[source], places.centres[index]
            low, high = y0 + HEIGHT / 2, y1 - HEIGHT / 2
            gutter = places.gutters[index]
            if places.gutters[source] != gutter:
                turns = [(x0, low + TURN), (gutter, low + TURN), (gutter, high - TURN), (x1, high - TURN)]
                _line(axes, [(x0, low), *turns, (x1, high)])
            elif ranks[index] - ranks[source] > 1:
                beneath = sum(ranks[source] < end and start < ranks[index] for start, end in passing)
                passing.append((ranks[source], ranks[index]))
                side = max(x0, x1) + WIDTH / 2 + NESTED * (1 + beneath % 3)
                _line(axes, [(x0 + WIDTH / 2, y0), (side, y0), (side, y1), (x1 + WIDTH / 2, y1)])
            else:
                turns = [(x0, high - TURN), (x1, high - TURN)] if x0 != x1 else []
                _line(axes, [(x0, low), *turns, (x1, high)])


def _line(axes: Any, way: Sequence[tuple[float, float]]) -> None:
    """A line through all points, with an arrowhead at the last."""
    axes.plot(*zip(*way[:-1], strict=True), color=EDGE, linewidth=1, zorder=1)
    head = {"arrowstyle": "-|>", "color": EDGE, "linewidth": 1, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", way[-1], way[-2], arrowprops=head)
