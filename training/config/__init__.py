"""Configs: everything that determines a run, nested, frozen, with unknown keys refused."""

from training.config.assignments import assign, override
from training.config.base import CODE, Config, PositiveInt, parse
from training.config.data import IMAGES, TABLE, DataConfig, Kind, Published
from training.config.model import (
    BACKBONES,
    Activation,
    CnnConfig,
    CustomConfig,
    LinearConfig,
    MlpConfig,
    ModelConfig,
    PretrainedConfig,
    ResnetConfig,
    VggConfig,
)
from training.config.run import (
    AugmentConfig,
    Device,
    EarlyStopping,
    LossConfig,
    Objective,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    digest,
    stored,
)

__all__ = [
    "BACKBONES",
    "CODE",
    "IMAGES",
    "TABLE",
    "Activation",
    "AugmentConfig",
    "CnnConfig",
    "Config",
    "CustomConfig",
    "DataConfig",
    "Device",
    "EarlyStopping",
    "Kind",
    "LinearConfig",
    "LossConfig",
    "MlpConfig",
    "ModelConfig",
    "Objective",
    "OptimizerConfig",
    "PositiveInt",
    "PretrainedConfig",
    "Published",
    "ResnetConfig",
    "RunConfig",
    "ScheduleConfig",
    "VggConfig",
    "assign",
    "digest",
    "override",
    "parse",
    "stored",
]
