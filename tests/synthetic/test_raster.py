import numpy as np
import pytest

from resight.synthetic.raster import FAR, Cones, cast_rays

HEIGHT, WIDTH = 40, 20


def random_cones(seed: int, count: int, flat: bool = False) -> Cones:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(2, count, 3, 3)))[0]
    turn[..., 2, :] /= rng.uniform(0.5, 1.0, (2, count, 1))
    origin = rng.uniform((2, 5, 50), (18, 35, 80), (2, count, 3))
    return Cones(
        origin=origin.astype(np.float32),
        to_own=turn.astype(np.float32),
        length=rng.uniform(4, 15, (2, count)).astype(np.float32),
        radii=rng.uniform(1.5, 4, (2, count, 2)).astype(np.float32),
        flat=np.full(count, flat),
        shown=np.ones((2, count), bool),
    )


def distance_to_axis_balls(cones: Cones, frame: int, cone: int, point: tuple[float, float, float]) -> float:
    """Return the distance of a point from the hull of two balls, using many balls between the two ends."""
    own = cones.to_own[frame, cone] @ (np.array(point) - cones.origin[frame, cone])
    share = np.linspace(0, 1, 1001)
    centres = np.stack([0 * share, share * cones.length[frame, cone], 0 * share], 1)
    ra, rb = cones.radii[frame, cone]
    return float((np.linalg.norm(own - centres, axis=1) - (ra + (rb - ra) * share)).min())


def test_hits_are_on_the_hull_of_two_balls_and_complete() -> None:
    cones = random_cones(0, 1)
    hits = cast_rays(cones, HEIGHT, WIDTH, "cpu")
    for frame in range(2):
        for y in range(0, HEIGHT, 5):
            for x in range(0, WIDTH, 3):
                depth = float(hits.depth[frame, y, x])
                if depth < FAR / 2:
                    assert distance_to_axis_balls(cones, frame, 0, (x + 0.5, y + 0.5, depth)) == pytest.approx(
                        0, abs=0.05
                    )
                    before = [distance_to_axis_balls(cones, frame, 0, (x + 0.5, y + 0.5, depth - d)) for d in (1, 4, 9)]
                    assert min(before) > 0
                else:
                    along = [
                        distance_to_axis_balls(cones, frame, 0, (x + 0.5, y + 0.5, z)) for z in np.arange(35, 95, 1.0)
                    ]
                    assert min(along) > -0.05


def test_the_nearest_cone_is_hit_in_any_order() -> None:
    cones = random_cones(1, 6)
    single = []
    for p in range(6):
        only = np.s_[:, p : p + 1]
        alone = Cones(
            cones.origin[only], cones.to_own[only], cones.length[only], cones.radii[only], cones.flat[p : p + 1],
            cones.shown[only],
        )  # fmt: skip
        single.append(cast_rays(alone, HEIGHT, WIDTH, "cpu").depth.numpy())
    together = cast_rays(cones, HEIGHT, WIDTH, "cpu")
    depths = np.stack(single)
    hit = depths.min(0) < FAR / 2
    np.testing.assert_allclose(together.depth.numpy()[hit], depths.min(0)[hit], rtol=1e-4)
    np.testing.assert_array_equal(together.cone.numpy()[hit], depths.argmin(0)[hit])
    assert (together.cone.numpy()[~hit] == -1).all()


def test_a_flat_end_has_no_cap() -> None:
    cones = random_cones(2, 1, flat=True)
    # The cone is upright: its axis points down, and the flat end is at the bottom.
    cones.to_own[:] = np.eye(3)
    cones.origin[:] = (10, 8, 50)
    cones.length[:] = 10
    cones.radii[:] = 3
    rows = (cast_rays(cones, HEIGHT, WIDTH, "cpu").cone[0] >= 0).any(1).nonzero().flatten().tolist()
    assert rows == list(range(5, 18))


def test_hidden_cones_are_not_seen() -> None:
    cones = random_cones(3, 3)
    cones.shown[1] = False
    hits = cast_rays(cones, HEIGHT, WIDTH, "cpu")
    assert (hits.cone[0] >= 0).any()
    assert (hits.cone[1] == -1).all()
