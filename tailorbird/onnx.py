"""The options of ONNX Runtime for all models, so that serving runs what export has measured."""

import os
from typing import Any

THREADS = 1
"""Threads per session: parallelism comes from the server's worker processes."""


def session(model: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of a model; raises as ONNX Runtime does."""
    # since 1.29 it writes a device id to HOME at import and reports to Microsoft, unless this is set
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 3  # only errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
