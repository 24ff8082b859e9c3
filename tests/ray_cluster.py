"""A Ray cluster of several nodes on this machine, nodes of which can be killed. A busy machine does not lose any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from resight.cluster import HEALTH_CHECKS

ROOT = Path(__file__).parents[1]


@contextmanager
def local_cluster(nodes: int) -> Iterator[Any]:
    """Yield a cluster of nodes of one core each, and a head without cores; ``lose()`` kills one of the nodes."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="needs the extra `cluster`")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        # Workers that start on a busy machine take longer than Ray waits for them by default.
        patch.setenv("RAY_worker_register_timeout_seconds", "300")
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": HEALTH_CHECKS}
        started: Any = Cluster(initialize_head=True, head_node_args=head)
        others = [started.add_node(num_cpus=1) for _ in range(nodes)]
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
        started.lose = lambda: started.remove_node(others.pop(), allow_graceful=False)
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()
