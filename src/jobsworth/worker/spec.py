"""How another process can find this very app."""

from __future__ import annotations

import sys

FILE_PREFIX = "_jobsworth_app_"  # names under which files are imported (see locate.py)


def spec_of(app: object) -> str | None:
    """The module (or script) and attribute that hold `app`, as "module:attribute"; None if none does."""
    for name, module in list(sys.modules.items()):
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is not app:
                continue
            path = getattr(module, "__file__", None)
            if name == "__main__" or name.startswith(FILE_PREFIX):
                return f"{path}:{attribute}" if path else None
            return f"{name}:{attribute}"
    return None
