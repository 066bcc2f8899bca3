"""Data sets: published ones, folders and archives of images, tables, and the user's own."""

from training.datasets.dataset import Dataset, Inputs, Targets
from training.datasets.loading import load

__all__ = ["Dataset", "Inputs", "Targets", "load"]
