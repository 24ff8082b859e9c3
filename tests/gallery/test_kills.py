"""Processes that change a gallery are killed at random moments.

RESIGHT_KILLS sets the number of kills; the ordinary test run has few.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("RESIGHT_KILLS", "16"))


def test_kills_lose_nothing_and_leave_nothing_half_written() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.gallery.kills", str(KILLS)], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{KILLS} kills in" in done.stdout
