"""Times at which the persons of a world walk through a site."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from benchmarks.search import clustered
from experiments.gallery_times import FASTEST, FRAME, draw_site


def test_persons_are_in_one_place_at_a_time_and_walk_from_camera_to_camera() -> None:
    features = clustered(persons=12, each=5, seed=4)
    frames = [12 + row % 7 for row in range(len(features))]
    site = draw_site(features, frames, 600.0, seed=1)
    assert np.allclose(site.end - site.start, np.array(frames) * FRAME)
    speeds = []
    for person in np.unique(features.persons):
        own = np.flatnonzero(features.persons == person)
        own = own[np.argsort(site.start[own])]
        for first, second in pairwise(own.tolist()):
            gap = site.start[second] - site.end[first]
            assert gap > 0, "nobody is twice in a place at once"
            metres = site.distance[features.cameras[first] - 1, features.cameras[second] - 1]
            if metres > 0:
                speeds.append(metres / gap)
    assert len(speeds) > 20 and 0.5 < np.median(speeds) < FASTEST
    again = draw_site(features, frames, 600.0, seed=1)
    assert np.array_equal(again.start, site.start), "fixed seeds give the same times"


def test_the_rules_of_a_map_know_the_distances() -> None:
    features = clustered(persons=3, each=4, seed=4)
    site = draw_site(features, [12] * len(features), 60.0, seed=2)
    names = [f"camera {number}" for number in range(1, 7)]
    rules = site.rules(names, disjoint=True, travel=True)
    time = rules.travel["camera 1", "camera 2"]
    assert time == rules.travel["camera 2", "camera 1"] and len(rules.travel) == 30
    assert np.isclose(time.shortest * FASTEST, site.distance[0, 1]) and time.shortest < time.typical
    assert site.rules(names, disjoint=False, travel=False) == type(rules)()
