"""Training: from a RunConfig and a data set to a checkpoint, its curves and its ONNX export."""
