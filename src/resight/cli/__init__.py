"""The command line: ``resight COMMAND``. docs/cli.md lists the commands.

Exit status: 0 success; 1 the data, the weights or the request cannot be used, and one line on stderr says what to do;
2 the command line is wrong; 130 interrupted, and the same command continues.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from cyclopts import CycloptsError

from resight.cli import (
    adapt,
    datasets,
    doctor,
    evaluate,
    gallery,
    gallery_labels,
    models,
    reproduce,
    search,
    serve,
    train,
)
from resight.cli.app import app
from resight.errors import ResightError
from resight.version import __version__

__all__ = [
    "adapt",
    "app",
    "datasets",
    "doctor",
    "evaluate",
    "gallery",
    "gallery_labels",
    "main",
    "models",
    "reproduce",
    "search",
    "serve",
    "train",
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. The docstring of the module lists the exit statuses."""
    try:
        app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        raise SystemExit(2) from None
    except ResightError as error:
        print(f"resight: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interrupt:
        print(f"resight: {interrupt or 'interrupted'}", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:  # a fault of this package: the user gets one line, and a file to report
        first = " ".join(str(error).split())[:200]
        print(f"resight: unexpected {type(error).__name__}: {first}; {_traceback_file()}", file=sys.stderr)
        raise SystemExit(1) from None


def _traceback_file() -> str:
    """Write the traceback of the current exception to a temporary file, and return where it is."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="resight-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(f"resight {__version__}\n{traceback.format_exc()}")
    except OSError as error:
        return f"no details, because no temporary file can be written ({error.strerror})"
    return f"details are in {file.name}"
