"""The front door: the command line, the settings, and modules that all rooms share."""

__version__ = "0.1.0"
