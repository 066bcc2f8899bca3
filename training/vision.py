"""Importing torchvision, even if its compiled operators do not match the installed torch."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import torch


def torchvision(module: str) -> ModuleType:
    """Import `torchvision.MODULE`; operators whose library cannot be loaded are declared first, without a kernel.

    PyPI's Linux wheels are built for CUDA. With a CPU build of torch their library cannot be loaded, and importing
    torchvision then fails because the operators have no schema, although transforms and models do not need them.
    """
    package = importlib.util.find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    try:
        torch.ops.load_library(next(Path((folders or [""])[0]).glob("_C*.so")))
    except (OSError, StopIteration):
        _declare("nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declare("qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module(f"torchvision.{module}")


def _declare(operator: str, schema: str) -> None:
    if not hasattr(torch.ops.torchvision, operator):
        torch.library.define(f"torchvision::{operator}", schema)
