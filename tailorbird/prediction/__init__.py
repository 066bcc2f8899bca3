"""Predictions for many files: inputs, predictors (a model or an endpoint), and outputs."""
