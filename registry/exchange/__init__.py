"""Versions on their way from one registry to another."""
