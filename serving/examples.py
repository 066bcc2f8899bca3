"""The inputs of a model."""

from typing import Any

from numpy.typing import NDArray

Examples = NDArray[Any]
"""Images [N, height, width] or [N, height, width, 3] of uint8, or rows [N, columns] of floats."""

FEW = 64
"""Up to this number of examples, Python loops are faster than NumPy, whose code the model has evicted from the
caches."""
