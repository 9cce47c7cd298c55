"""The reference page is made from the commands, and every command says how it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobsworth.cli.reference import reference
from jobsworth.cli.tree import COMMANDS, tree

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


@pytest.fixture(scope="module")
def page() -> str:
    """The page as the commands make it now: once for all, for it takes a second."""
    return reference()


def test_the_reference_is_up_to_date(page: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == page, (
        "docs/cli.md is stale; make it again: python -m jobsworth.cli.reference > docs/cli.md"
    )


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_has_examples_and_every_option_an_explanation(name: str, page: str) -> None:
    app = tree(whole=True)
    section = page.split(f"\n## jobsworth {name}\n")[1].split("\n## ")[0]
    assert app[name] is not None
    assert f"  jobsworth {name}" in section
    options = [line for line in section.splitlines() if line.startswith("  --")]
    bare = [line for line in options if len(line) < 28 and line.strip() == line.split("  ")[1].strip()]
    below = {line: section.splitlines()[section.splitlines().index(line) + 1] for line in bare}
    assert [line for line, after in below.items() if not after.startswith(" " * 20)] == []
