"""What every engine promises, as tests: for our engines, and for yours.

    import pytest
    from jobsworth.conformance import EngineContract, twin_of
    from jobsworth.engines.memory import MemoryEngine

    class TestMyEngine(EngineContract):
        @pytest.fixture
        def engine(self, clock, run):
            engine = MyEngine(clock=clock)
            run(engine.open())
            yield engine
            run(engine.close())

    TestMyEngineAtRandom = twin_of(MemoryEngine, lambda clock: MyEngine(clock=clock))

The contract is a class of plain sync tests: no pytest plugin is needed. The twin drives your engine beside another one
through random histories and compares what they show after every step.
"""

try:
    import hypothesis  # noqa: F401
    import pytest
except ImportError as exc:
    raise ImportError(
        f"jobsworth.conformance is a test suite and needs {exc.name}, which is not installed here; "
        "run `pip install pytest hypothesis`",
        name=exc.name,
    ) from exc

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "door",
            "wishes",
            "turns",
            "endings",
            "leases",
            "moves",
            "looks",
            "houses",
            "charts",
            "logs",
            "twin",
        )
    )
)

from .contract import EngineContract  # noqa: E402 (assertions must be rewritten first)
from .door import Door, new_job  # noqa: E402
from .twin import twin_of  # noqa: E402

__all__ = ["Door", "EngineContract", "new_job", "twin_of"]
