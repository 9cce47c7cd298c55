"""The version, read from the installed package so that it is written in one place only."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("jobsworth")
except PackageNotFoundError:  # a source tree that was never installed
    VERSION = "0+unknown"
