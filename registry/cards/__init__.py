"""The model card of a version, and the comparison of two versions."""
