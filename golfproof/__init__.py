"""The front door: one command line over the four rooms."""

__version__ = "0.1.0"
