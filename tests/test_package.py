"""What is promised about the package itself."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata, resources
from pathlib import Path

ROOT = Path(__file__).parent.parent


def modules_loaded_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_importing_jobsworth_loads_nothing_of_the_command_line() -> None:
    unwanted = {"cyclopts", "rich", "pydantic", "PIL", "pytest", "hypothesis", "jobsworth.web"}
    extras = {"itsdangerous", "prometheus_client", "uvicorn"}
    assert modules_loaded_by("import jobsworth") & (unwanted | extras) == set()
    assert modules_loaded_by("import jobsworth.web") & extras == set()
    theirs = {"celery", "kombu", "billiard", "cyclopts"}
    assert modules_loaded_by("import jobsworth.integrations.celery.signals") & theirs == set()


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files("jobsworth").joinpath("py.typed").is_file()


def test_the_plugin_of_pytest_travels_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
        (declared,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
        text = files.read(declared).decode()
    assert "[pytest11]\njobsworth_pytest = jobsworth_pytest\n" in text
    assert {"jobsworth_pytest.py", "jobsworth/testing/kit.py"} <= names
    assert "jobsworth/integrations/celery/contrib/testing/worker.py" in names
    assert not any(name.startswith("tests") for name in names)


def test_the_command_line_is_declared() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="jobsworth")
    assert command.value == "jobsworth.cli:main"
