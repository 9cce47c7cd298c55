"""A worker in a program in which gevent would patch the standard library: it starts again, and lets nothing be patched.

Where `threading` makes greenlets, the office's loop cannot run beside the shop's, and a handler that computes keeps the
lease from being renewed. A worker serves no greenlets, so nobody misses the patches: gevent.sleep() and the like work
in its threads as they are.
"""

from __future__ import annotations

import os
import sys

_AGAIN = "JOBSWORTH_UNPATCHED"  # set for the second start


def keep_unpatched() -> None:
    """Called before the program is imported: the second time, gevent patches nothing."""
    if os.environ.pop(_AGAIN, None) is None:
        return
    from gevent import monkey

    for name in vars(monkey).copy():
        if name.startswith("patch_") and name not in ("patch_item", "patch_module"):
            setattr(monkey, name, lambda *_, **__: True)


def start_again_if_patched() -> None:
    """Called after it: does not return if gevent has patched `threading`."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        os.environ[_AGAIN] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (ourselves)
