"""The options of ONNX Runtime for all models, so that what is measured at export is what is served."""

import os
from typing import Any

THREADS = 1
"""Threads of a session: the server runs worker processes in parallel."""


def session(model: bytes) -> Any:
    """An `onnxruntime.InferenceSession` of a model; raises whatever ONNX Runtime raises where it cannot run it."""
    # from its import on it makes a device id in HOME and reports to Microsoft (since 1.29), unless it finds this
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
