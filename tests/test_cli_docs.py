"""docs/cli.md contains the help texts of the commands. Run this file to write it again."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from unittest.mock import patch

from resight.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

EXIT_STATUS = """
## Exit status

| status | meaning |
|---|---|
| 0 | done |
| 1 | the data, the weights or the request cannot be used; one line on stderr says why and what to do |
| 2 | the command line itself is wrong |
| 130 | interrupted; run the same command again to continue |
"""


def generated() -> str:
    # cyclopts writes how Python was started into the usage of each command.
    with patch.object(sys, "argv", ["resight"]):
        lines = [line.rstrip() for line in app.generate_docs().splitlines()]
    return "\n".join(lines).rstrip() + "\n" + EXIT_STATUS


def test_the_page_is_the_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == generated(), "docs/cli.md is old: run `python tests/test_cli_docs.py`"


def test_the_page_is_the_same_on_every_machine() -> None:
    assert "all cores" in generated()
    assert str(Path.home()) not in generated()


def test_no_command_has_more_than_ten_options() -> None:
    for command in re.split("\n###? resight ", generated())[1:]:
        options = [line for line in command.splitlines() if line.startswith("* `--")]
        assert len(options) <= 10, command.splitlines()[0]


if __name__ == "__main__":
    PAGE.write_text(generated(), encoding="utf-8")
