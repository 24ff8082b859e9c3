"""The command line: ``resight COMMAND``, one of the modules here each for some commands; docs/cli.md lists them.

Exit status: 0 done; 1 the data, the weights or the request is not as it must be (one line on stderr says what to do);
2 the command line itself is wrong; 130 interrupted, run the same command again to go on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from resight.cli import asking, checking, choosing, judging, making, reproducing, training
from resight.cli.app import app
from resight.errors import ResightError

__all__ = ["app", "asking", "checking", "choosing", "judging", "main", "making", "reproducing", "training"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; see the module's text for the exit status."""
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
