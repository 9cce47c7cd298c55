"""The whole contract: every sentence an engine promises."""

from __future__ import annotations

from .charts import Charts
from .endings import Endings
from .houses import Houses
from .leases import Leases
from .logs import Logs
from .looks import Looks
from .moves import Moves
from .turns import Turns
from .wishes import Wishes


class EngineContract(Wishes, Turns, Endings, Leases, Moves, Looks, Houses, Charts, Logs):
    """Subclass it, provide an `engine` fixture, and pytest asks your engine for every promise."""
