"""What tracklets cost, computed from the measured costs of one: storage, compute, memory, money and latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

SIZES = tuple(10**power for power in range(4, 10))
FORMATS = {"float32": 4, "float16": 2, "int8": 1}
"""Formats of clip features, and bytes of a number; a clip in int8 has a scale of 4 bytes, too."""

LIMITS = {"encoding": 86_400.0, "query": 1.0, "memory": 16e9, "storage": 4e12}
"""What one small machine is taken for: a day to encode on two cores, a second for a query on one core, 16 GB of memory
for mean features, and a disk of 4 TB."""

HOURS = 730
"""Hours of a month."""


@dataclass(frozen=True)
class Units:
    """Measured costs of one tracklet and of one query, on one core.

    Attributes:
        dim: Features per clip, D.
        clips: Clips per tracklet of a gallery, M.
        shortlist: Tracklets that a query is compared with by clip pairs.
        encode_s: Clips per tracklet to seconds to read and encode it.
        store_s: Seconds to store a tracklet, beyond reading and encoding it.
        other_bytes: Bytes of a tracklet in a gallery besides its clip features: pictures, mean, facts.
        scan_s: Seconds to compare a query with one mean feature of D float32 numbers.
        fetch_s: Seconds to read a tracklet of the shortlist.
        rescore_s: Clips per tracklet to seconds to compare it with a query by clip pairs.
    """

    dim: int
    clips: int
    shortlist: int
    encode_s: dict[int, float]
    store_s: float
    other_bytes: float
    scan_s: float
    fetch_s: float
    rescore_s: dict[int, float]

    def feature_bytes(self, clips: int, form: str) -> int:
        """Return the bytes of a tracklet's clip features in a format of `FORMATS`."""
        return clips * (self.dim * FORMATS[form] + (4 if form == "int8" else 0))

    def bytes(self, clips: int | None = None, form: str = "float16") -> float:
        """Return the bytes of a tracklet in a gallery."""
        return self.other_bytes + self.feature_bytes(clips or self.clips, form)

    def cost(self, n: int, *, clips: int | None = None, form: str = "float16", mean_bytes: float = 4) -> Cost:
        """Return what n tracklets cost. Everything but the shortlist is proportional to n.

        Args:
            n: Number of tracklets.
            clips: Clips per tracklet; None: as measured.
            form: Format of clip features.
            mean_bytes: Bytes of a number of a mean feature. The time to compare means is taken as proportional to it,
                because it is spent on reading them from memory.
        """
        clips = clips or self.clips
        return Cost(
            n,
            encode_s=n * (self.encode_s[clips] + self.store_s),
            storage=n * self.bytes(clips, form),
            memory=n * self.dim * mean_bytes,
            query_s=n * self.scan_s * mean_bytes / 4 + min(n, self.shortlist) * (self.fetch_s + self.rescore_s[clips]),
        )


@dataclass(frozen=True)
class Cost:
    """What a number of tracklets cost.

    Attributes:
        n: Number of tracklets.
        encode_s: Seconds of one core to encode and store them.
        storage: Bytes on disk.
        memory: Bytes of mean features in memory.
        query_s: Seconds of one core for a query.
    """

    n: int
    encode_s: float
    storage: float
    memory: float
    query_s: float

    def loads(self) -> dict[str, float]:
        """Return how often each of `LIMITS` is used up, the most used first."""
        used = {
            "encoding": self.encode_s / 2, "query": self.query_s, "memory": self.memory, "storage": self.storage,
        }  # fmt: skip
        loads = {name: used[name] / limit for name, limit in LIMITS.items()}
        return dict(sorted(loads.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Prices:
    """Prices in dollars. They are assumptions of November 2026: replace them by yours.

    Attributes:
        core_hour: A core for an hour.
        memory_hour: A gigabyte of memory for an hour.
        terabyte_month: A terabyte of object storage for a month.
    """

    core_hour: float = 0.04
    memory_hour: float = 0.005
    terabyte_month: float = 23.0

    def encoding(self, cost: Cost) -> float:
        """Return the price to encode, once."""
        return cost.encode_s / 3600 * self.core_hour

    def memory(self, cost: Cost) -> float:
        """Return the price of the memory for a month."""
        return cost.memory / 1e9 * HOURS * self.memory_hour

    def storage(self, cost: Cost) -> float:
        """Return the price of the storage for a month."""
        return cost.storage / 1e12 * self.terabyte_month


def bottleneck(cost: Cost) -> str:
    """Return which limits are exceeded, the most exceeded first, or which comes next."""
    loads = cost.loads()
    exceeded = [
        f"{name} ({load:,.2g} ×)" if load < 10 else f"{name} ({load:,.0f} ×)"
        for name, load in loads.items()
        if load > 1
    ]
    return ", ".join(exceeded) or f"none; next: {next(iter(loads))}"


def as_int8(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features (..., D) rounded to 8-bit integers with one scale per clip, as float32."""
    scale = np.maximum(np.abs(values).max(-1, keepdims=True), np.float32(1e-12)) / 127
    rounded: NDArray[np.float32] = (np.round(values / scale) * scale).astype(np.float32)
    return rounded


def coded_means(values: NDArray[np.float32], code: str) -> NDArray[np.float32]:
    """Return mean features (T, D) of length 1 as they would be kept: in float32, int8 or 1 bit.

    Args:
        values: (T, M, D) clip features.
        code: ``float32``, ``int8``, or ``1 bit``: the sign of each number.
    """
    unit = values / np.linalg.norm(values, axis=-1, keepdims=True)
    means = unit.mean(axis=1)
    means /= np.linalg.norm(means, axis=-1, keepdims=True)
    if code == "1 bit":
        signs: NDArray[np.float32] = np.where(means > 0, 1, -1).astype(np.float32)
        return signs
    return as_int8(means) if code == "int8" else means


def plot_costs(units: Units) -> Figure:
    """Return a figure of how much of each limit is used, against the number of tracklets."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    sizes = np.logspace(4, 9, 51)
    labels = {
        "encoding": "encoding on two cores in a day",
        "query": "a query in 1 s on one core",
        "memory": "means in 16 GB of memory",
        "storage": "gallery on a disk of 4 TB",
    }
    lines = (("#2a68a8", "-"), ("#d9730d", "--"), ("#2c9a4b", ":"), ("#8757b5", "-."))
    for (name, label), (colour, style) in zip(labels.items(), lines, strict=True):
        loads = [units.cost(int(n)).loads()[name] for n in sizes]
        axes.plot(sizes, loads, color=colour, linestyle=style, linewidth=2, label=label)
    axes.axhline(1, color="#5c656e", linewidth=1)
    axes.text(1.1e4, 1.25, "all of it", color="#5c656e", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="tracklets", ylabel="share of one small machine", ylim=(1e-4, 3e3))
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0.0, 0.98))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
