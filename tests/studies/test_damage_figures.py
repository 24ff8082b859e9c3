from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from resight.data.damage import DAMAGES
from resight.errors import DatasetError
from resight.recipe import ClipSpec
from resight.studies.damage_figures import plot_damage
from resight.tracklet import Tracklet

MakeTracklets = Callable[..., list[Tracklet]]


def test_a_row_for_each_kind_below_the_clean_clip(make_tracklets: MakeTracklets) -> None:
    tracklets = make_tracklets(persons=2, cameras=1)
    figure = plot_damage(tracklets[0], tracklets, ClipSpec(length=3, height=32, width=16))
    panels = np.array(figure.axes).reshape(6, 3)
    assert [row[0].get_ylabel() for row in panels] == ["clean", *DAMAGES]
    shown = [[np.asarray(panel.images[0].get_array()) for panel in row] for row in panels]
    assert shown[0][0].shape == (32, 16, 3)
    assert all((row[0] != shown[0][0]).any() for row in shown[1:])
    with pytest.raises(DatasetError, match="found none"):
        plot_damage(tracklets[0], tracklets[:1], ClipSpec(length=3, height=32, width=16), kinds=("occluded",))
