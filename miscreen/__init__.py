"""Screen very wide tables: rank every column by its mutual information with a target."""

from miscreen._version import __version__

__all__ = ["__version__"]
