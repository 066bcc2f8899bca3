import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tailorbird.onnx import session


def twice() -> bytes:
    """A model that doubles what it is given."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_a_model_runs_on_one_thread_of_the_processor():
    opened = session(twice())
    [doubled] = opened.run(["y"], {"x": np.float32([1, 2])})
    assert doubled.tolist() == [2, 4]
    options = opened.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert opened.get_providers() == ["CPUExecutionProvider"]


def test_what_is_no_model_is_not_opened():
    with pytest.raises(Exception, match=r"INVALID_PROTOBUF|ModelProto"):
        session(b"no model")


def test_nothing_is_reported_to_anybody(tmp_path):
    (tmp_path / "model.onnx").write_bytes(twice())
    code = "from pathlib import Path; from tailorbird.onnx import session; session(Path('model.onnx').read_bytes())"
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=clean, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # its device id would lie in .cache
