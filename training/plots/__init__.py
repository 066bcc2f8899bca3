"""Plots of a data set, a run and a model as PNG bytes, drawn without a display."""

from training.plots.decisions import precision_recall
from training.plots.descent import gradient_descent
from training.plots.features import diagonal, feature_maps
from training.plots.graph import model_graph
from training.plots.layers import layer_table
from training.plots.learning import curves, loss_curves
from training.plots.matrix import confusion, decided
from training.plots.scatter import scatter_matrix
from training.plots.sheets import contact_sheet, predictions

__all__ = [
    "confusion",
    "contact_sheet",
    "curves",
    "decided",
    "diagonal",
    "feature_maps",
    "gradient_descent",
    "layer_table",
    "loss_curves",
    "model_graph",
    "precision_recall",
    "predictions",
    "scatter_matrix",
]
