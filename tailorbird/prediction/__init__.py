"""Predictions for many files at once: what goes in, a model or an endpoint that answers, and what comes out."""
