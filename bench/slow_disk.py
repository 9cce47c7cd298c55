"""A slower disk than the one at hand: every fsync of a worker takes so many milliseconds longer. Clearly a simulation,
and always reported as one. Durable commits wait for fsync, so how many times faster a batching worker is than one that
commits every step depends on this number more than on anything else.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.sample import Absent

SOURCE = Path(__file__).with_suffix(".c")


def environment(extra_ms: float, work: Path) -> dict[str, str]:
    """What a worker needs in its environment to see that disk. Absent without a C compiler."""
    if not extra_ms:
        return {}
    library = work / "slow_disk.so"
    if not library.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Absent("a simulated slow disk needs a C compiler (cc)")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_FSYNC_US": str(round(extra_ms * 1000))}
