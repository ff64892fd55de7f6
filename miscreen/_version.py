"""The version, where both the package and the kernel cache can read it without importing each other."""

__version__ = "0.1.0"
