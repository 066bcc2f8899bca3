"""ModelConfig: the families of models, and their depth, width and layers."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, Discriminator, Field, field_validator, model_validator

from tailorbird import classes
from training.config.base import CODE, CodeReference, Config

DEEPEST_MLP, DEEPEST_CNN = 64, 16
BACKBONES = (
    "resnet18", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny",
)  # fmt: skip
"""Of torchvision."""
SIDE = 224
"""Side in pixels of the images that backbones were trained on, to which images are resized if no size is given."""

Width = Annotated[int, Field(strict=True, ge=1, le=65536)]
Dropout = Annotated[float, Field(strict=True, ge=0, lt=1)]
Kernel = Annotated[int, Field(strict=True, ge=1, le=31)]
Padding = Literal["same"] | Annotated[int, Field(strict=True, ge=0, le=15)]
Pool = Literal["max", "average", "none"]
Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"]


def _line(text: str) -> str:
    if why := classes.problem(text):
        raise ValueError(f"must be a line of text, and this {why}")
    return text


Line = Annotated[str, AfterValidator(_line)]

T = TypeVar("T")
Each: TypeAlias = T | Annotated[list[T], Field(min_length=1, max_length=DEEPEST_MLP)]
"""One value for every layer or block, or a list with one for each."""


class _Deep(Config):
    """A model whose layers are listed: a `width` that is a list fixes `depth`, and other lists must be as long."""

    @model_validator(mode="before")
    @classmethod
    def _depth_from_widths(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("width"), list):
            return raw
        widths = raw["width"]
        if "depth" in raw and raw["depth"] != len(widths):
            raise ValueError(f"depth {raw['depth']} contradicts the {len(widths)} widths; remove one of the two")
        return {**raw, "depth": len(widths)}

    @model_validator(mode="after")
    def _lists_suit_depth(self) -> "_Deep":
        depth: int = getattr(self, "depth")  # noqa: B009 (of those that inherit)
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, list) and name != "head" and len(value) != depth:
                raise ValueError(f"{name} has {len(value)} values for a depth of {depth}")
        return self


class LinearConfig(Config):
    """One linear layer: linear, logistic or softmax regression."""

    family: Literal["linear"]


class MlpConfig(_Deep):
    """`depth` hidden layers of `width` units, each followed by optional batch norm, the activation and dropout."""

    family: Literal["mlp"]
    depth: Annotated[int, Field(strict=True, ge=1, le=DEEPEST_MLP)] = 2
    width: Each[Width] = 128
    activation: Activation = "relu"
    batch_norm: bool = False
    dropout: Each[Dropout] = 0.0


class CnnConfig(_Deep):
    """`depth` blocks of convolution, 2x2 pooling, batch norm, activation and dropout; then linear layers.

    Padding is zeros: a number of pixels on each side, or `same`, which turns a side of n pixels into n / stride,
    rounded up (with an even kernel, the odd pixel is padded at the end). Average pooling comes after the activation.
    `head` lists the widths of hidden linear layers, each with the activation and `head_dropout`.
    """

    family: Literal["cnn"]
    depth: Annotated[int, Field(strict=True, ge=1, le=DEEPEST_CNN)] = 2
    width: Each[Width] = 32
    kernel: Each[Kernel] = 3
    stride: Each[Kernel] = 1
    padding: Each[Padding] = "same"
    pool: Each[Pool] = "max"
    activation: Activation = "relu"
    batch_norm: bool = True
    dropout: Each[Dropout] = 0.0
    dropout_place: Literal["block", "convolution"] = Field(
        "block", description="at the end of its block, or right after the convolution"
    )
    head: Annotated[list[Width], Field(max_length=8, default_factory=list)]
    head_dropout: Dropout = 0.0


class VggConfig(Config):
    """Stages of `convolutions` 3x3 convolutions and one pooling, each stage twice as wide (Simonyan & Zisserman 2015).

    `depth` counts convolutions, of which the last stage has the remainder; `width` is that of the first stage. Dropout
    comes at the end of each stage.
    """

    family: Literal["vgg"]
    depth: Annotated[int, Field(strict=True, ge=1, le=DEEPEST_CNN)] = 4
    width: Width = 32
    convolutions: Annotated[int, Field(strict=True, ge=1, le=DEEPEST_CNN)] = 2
    activation: Activation = "relu"
    batch_norm: bool = True
    dropout: Dropout = 0.0


class ResnetConfig(Config):
    """`depth` residual blocks of two 3x3 convolutions, over three stages, each twice as wide (He et al. 2016).

    `width` is that of the first stage; without `residual` the same layers have no shortcuts. Dropout comes before the
    last layer.
    """

    family: Literal["resnet"]
    depth: Annotated[int, Field(strict=True, ge=1, le=48)] = 3
    width: Width = 16
    pool: bool = Field(False, description="halve the image right after the first convolution: a quarter of the work")
    residual: bool = True
    dropout: Dropout = 0.0


class CustomConfig(Config):
    """A module of the user's own: `function(shape, outputs, **arguments)` returns it.

    It takes normalised inputs, float [N, channels, height, width] or [N, columns] of `shape` [channels, height, width]
    or [columns], and gives [N, outputs].
    """

    family: Literal["custom"]
    function: CodeReference
    arguments: dict[str, Any] = Field(default_factory=dict)


class PretrainedConfig(_Deep):
    """A backbone that was trained on other images, and a head of `depth` hidden layers that is trained on these.

    `backbone` is one of torchvision's, or `package.module:name`: a function of the user's own that returns a module
    from normalised images, float [N, 3, height, width], to features [N, width]; its `weights` are a file, which the
    other `weights_` keys describe. `tune` says what is trained: the head alone, the last stage of the backbone too, or
    all of it.
    """

    family: Literal["pretrained"]
    backbone: str
    weights: str | None = Field(None, description="of a backbone of the user's own: safetensors, or a .pth of tensors")
    weights_source: Line | None = Field(None, description="where they were obtained; default: the file's name")
    weights_licence: Line | None = None
    weights_images: Line | None = Field(None, description="what they were trained on")
    tune: Literal["head", "last", "all"] = "head"
    depth: Annotated[int, Field(strict=True, ge=0, le=8)] = 0
    width: Each[Width] = 256
    activation: Activation = "relu"
    dropout: Dropout = Field(0.0, description="before each linear layer of the head")
    batch_norm: bool = Field(False, description="whether that of the tuned part uses and updates batch statistics")

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BACKBONES and not CODE.fullmatch(name):
            raise ValueError(f"must be one of {', '.join(BACKBONES)}, or package.module:name, not {name!r}")
        return name

    @model_validator(mode="after")
    def _keys_suit_backbone(self) -> "PretrainedConfig":
        keys = ("weights", "weights_source", "weights_licence", "weights_images")
        if self.backbone in BACKBONES and (key := next((key for key in keys if getattr(self, key)), None)):
            raise ValueError(f"{key} applies only to a backbone of your own, and {self.backbone} is torchvision's")
        if self.batch_norm and self.tune == "head":
            raise ValueError("batch_norm applies only to a tuned backbone; accepted: tune: last or all")
        if self.weights is None and self.backbone not in BACKBONES:
            raise ValueError("weights is required: the weights file of your own backbone")
        return self


ModelConfig = Annotated[
    LinearConfig | MlpConfig | CnnConfig | VggConfig | ResnetConfig | CustomConfig | PretrainedConfig,
    Discriminator("family"),
]


def own_code(model: ModelConfig) -> dict[str, str]:
    """The user's own code that a model names, by its key."""
    match model:
        case CustomConfig():
            return {"model.function": model.function}
        case PretrainedConfig() if model.backbone not in BACKBONES:
            return {"model.backbone": model.backbone}
        case _:
            return {}
