"""How much memory this process holds."""

from __future__ import annotations


def resident_bytes() -> int | None:
    """This process's resident memory; None where the system does not tell cheaply."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 (called often)
            return int(statm.read().split()[1]) * 4096
    except OSError:
        return None
