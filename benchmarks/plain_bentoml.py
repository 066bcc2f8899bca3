"""What `benchmarks/serving.py` compares with: the same model as BentoML's documentation would serve it."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Plain:
    """A model behind `@bentoml.api`: JSON with an array in, an array of probabilities out."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["PLAIN_MODEL"], options)

    @bentoml.api
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {self.session.get_inputs()[0].name: inputs.astype(np.uint8)})[0]
