"""Both Spikards as real processes: 0.17, which is installed beside us, and 0.8, which is installed apart."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from own_network import _running as running
