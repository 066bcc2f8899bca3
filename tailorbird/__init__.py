"""The front door: command line, settings and what every room shares."""

__version__ = "0.1.0"
