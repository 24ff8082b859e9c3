"""One clip with every kind of damage, as the model sees it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from resight.data.clips import sample_clips
from resight.data.damage import DAMAGES, ClipDamage, Donors
from resight.data.frames import load_clips
from resight.recipe import ClipSpec
from resight.tracklet import Tracklet

_INCHES = 0.95
"""Height of a frame."""


def plot_damage(
    tracklet: Tracklet, donors: Sequence[Tracklet], spec: ClipSpec, kinds: Sequence[str] = DAMAGES, seed: int = 0
) -> Figure:
    """The middle clip of a tracklet: a row as it is, then one for each kind of damage.

    Args:
        tracklet: whose frames.
        donors: what damaged clips are made of, see `Donors`.
        spec: frames of the clip and their size.
        kinds: of damage, from the top.
        seed: of the damage.

    Raises:
        FrameError: if a frame cannot be read.
        DatasetError: if damage needs a donor and there is none.
    """
    numbers = sample_clips(len(tracklet), ClipSpec(length=spec.length, count=1))
    rows = {"as it is": None} | {kind: ClipDamage.of_kind(kind, 1, seed, Donors(donors)) for kind in kinds}
    across, up = 1.05 + _INCHES * (spec.width / spec.height + 0.03) * spec.length, (_INCHES + 0.03) * len(rows)
    figure = Figure(figsize=(across, up))
    panels = figure.subplots(
        len(rows), spec.length, squeeze=False,
        gridspec_kw={"left": 1.05 / across, "right": 1, "top": 1, "bottom": 0, "wspace": 0.04, "hspace": 0.03},
    )  # fmt: skip
    for row, (name, damage) in zip(panels, rows.items(), strict=True):
        for panel, frame in zip(row, load_clips(tracklet, numbers, (spec.height, spec.width), damage)[0], strict=True):
            panel.imshow(frame, interpolation="nearest")
            panel.set(xticks=[], yticks=[], frame_on=False)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
    return figure
