"""Draw detailed places: ground and walls in perspective, objects, light and cast shadows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter1d

from resight.synthetic.pink_noise import look_up, muted, noise_of
from resight.synthetic.props import PROPS, draw_prop
from resight.synthetic.scene import Camera
from resight.synthetic.streams import stream
from resight.synthetic.style import Style
from resight.synthetic.surfaces import (
    INDOOR_GROUND,
    INDOOR_WALLS,
    OUTDOOR_GROUND,
    OUTDOOR_WALLS,
    ground_colours,
    wall_colours,
)
from resight.synthetic.weather import Weather, ground_shade, weather

Array = NDArray[np.floating]


def scenery(seed: int, cam: Camera, rows: int, style: Style) -> Array:
    """Return the image of a detailed place without people.

    Args:
        seed: Seed of the world.
        cam: Camera of the place.
        rows: Height of the image in pixels.
        style: Style of the world.

    Returns:
        (rows, 2 · rows, 3) Light from each direction, mostly from 0 to 1, before the camera's tone curve is applied.
    """
    rng = stream(seed, "scenery", style.name, cam.number)
    sky = weather(seed, cam.number, style)
    columns = 2 * rows
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    rays = np.stack([(x + 0.5) / rows - 1.0, (y + 0.5) / rows - 0.5, np.full_like(x, cam.lens.focal)], -1)
    rays = (rays @ cam.lens.to_camera()).astype(np.float32).reshape(-1, 3)
    length = np.linalg.norm(rays, axis=1)
    walls = _walls(rng, cam, sky)
    reach = np.full(len(rays), 400.0, np.float32)
    nearest = np.full(len(rays), -1, np.int8)
    for number, (nx, nz, offset, high) in enumerate(walls):
        t = offset / np.minimum(nx * rays[:, 0] + nz * rays[:, 2], -1e-4)
        t = np.where(nx * rays[:, 0] + nz * rays[:, 2] < -1e-4, t, 1e9)
        top = cam.lens.height + t * rays[:, 1]
        hit = (t < reach) & (top < high) & (t > 0)
        reach[hit], nearest[hit] = t[hit], number
    to_ground = np.where(rays[:, 1] < -1e-4, -cam.lens.height / np.minimum(rays[:, 1], -1e-4), 1e9)
    ground = to_ground < reach
    reach = np.where(ground, to_ground, reach)
    nearest[ground] = -2
    ceiling = 0.0
    if sky.kind == "indoor":
        ceiling = walls[0][3]
        to_ceiling = np.where(rays[:, 1] > 1e-4, (ceiling - cam.lens.height) / np.maximum(rays[:, 1], 1e-4), 1e9)
        overhead = (to_ceiling < reach) | (nearest == -1)
        reach = np.where(overhead, np.minimum(to_ceiling, reach), reach)
        nearest[overhead] = -3
    place = rays * reach[:, None]
    place[:, 1] += cam.lens.height
    pixel = reach * length / (rows * cam.lens.focal)
    out = np.empty_like(rays)
    out[:] = _sky(rng, sky, rays, noise_of(seed, rng))
    if nearest.min() <= -3:
        over = nearest == -3
        lamps = (np.abs(place[over, 0] % 2.4 - 1.2) < 0.3) & (place[over, 2] % 2.4 < 1.4)
        out[over] = np.where(lamps[:, None], 1.6, muted(rng, 0.35, 0.65, "grey"))
    kinds = INDOOR_WALLS if sky.kind == "indoor" else OUTDOOR_WALLS
    materials = []
    for number, (nx, nz, _, _) in enumerate(walls):
        on = nearest == number
        state = int(rng.integers(1 << 31))
        materials.append((state, kinds[rng.integers(len(kinds))]))
        along = place[on, 0] * nz - place[on, 2] * nx
        albedo = wall_colours(np.random.default_rng(state), seed, materials[-1][1], along, place[on, 1], pixel[on])
        facing = max(0.0, nx * sky.to_light[0] + nz * sky.to_light[2])
        out[on] = albedo * _lit(sky, 0.85, facing, ground_shade(sky, place[on], cam.lane))
    out[ground] = _ground(rng, seed, cam, sky, place[ground], pixel[ground] / np.maximum(
        -rays[ground, 1] / length[ground], 0.05), walls, materials)  # fmt: skip
    image = out.reshape(rows, columns, 3)
    _add_props(rng, seed, image, cam, sky, walls, style)
    _finish(rng, image, cam, sky, reach.reshape(rows, columns), noise_of(seed, rng))
    return np.asarray(np.clip(image, 0, 4), np.float32)


def _walls(rng: np.random.Generator, cam: Camera, sky: Weather) -> list[tuple[float, float, float, float]]:
    """Draw walls: X and Z of the normal towards the camera, distance of the camera in metres, and height in metres."""
    indoor = sky.kind == "indoor"
    gap = rng.uniform(2.2, 7.0) if indoor else 2.0 + rng.gamma(1.5, 4.0)
    high = max(rng.uniform(2.6, 4.0), cam.lens.height + 0.3) if indoor else rng.uniform(2.0, 14.0)
    turn = rng.normal(0, 0.12 if indoor else 0.35)
    nx, nz = np.sin(turn), -np.cos(turn)
    walls = [(nx, nz, nz * (cam.lane[1] + gap), high)]
    if indoor or rng.random() < 0.4:
        for side in (-1, 1):
            if indoor or rng.random() < 0.5:
                bend = rng.normal(0, 0.1)
                wx, wz = -side * np.cos(bend), np.sin(bend)
                walls.append((wx, wz, -rng.uniform(3.3, 6.5), high if indoor else rng.uniform(2, 12)))
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in walls]


def _sky(rng: np.random.Generator, sky: Weather, rays: Array, noise: Array) -> Array:
    """Return the colours of the sky, or of far trees and houses, in each direction."""
    up = np.clip(rays[:, 1] / np.maximum(rays[:, 2], 0.05), -0.2, 1)
    top = np.array([0.75, 0.85, 1.05], np.float32) if sky.kind in ("sun", "backlight") else np.ones(3, np.float32)
    glow = {"sun": 0.9, "backlight": 1.9, "overcast": 1.25, "night": 0.03, "indoor": 0.5}[sky.kind]
    cloud = look_up(noise, rays[:, 0] * 90, rays[:, 1] * 160)
    out = glow * top * (1.05 - 0.25 * up + 0.06 * cloud)[:, None]
    ridge = 0.03 + 0.05 * look_up(noise, rays[:, 0] * 130, np.full(len(rays), 7))
    far = up < ridge
    return np.where(far[:, None], muted(rng, 0.08, 0.35, "green") * (1 + 0.2 * cloud)[:, None] * glow, out)


def _lit(sky: Weather, around: float, facing: float, shade: Array) -> Array:
    """Return the (K, 3) light on a surface with the given share of ambient light, angle to the light and shadow."""
    direct = sky.strength * facing * shade
    return sky.ambient * around + direct[:, None] * np.array(sky.warmth, np.float32)


def _ground(
    rng: np.random.Generator, seed: int, cam: Camera, sky: Weather, place: Array, pixel: Array,
    walls: list[tuple[float, float, float, float]], materials: list[tuple[int, str]],
) -> Array:  # fmt: skip
    """Return the light from the ground: strips of different materials, kerbs, markings, shadows and reflections."""
    indoor = sky.kind == "indoor"
    kinds = INDOOR_GROUND if indoor else OUTDOOR_GROUND
    c, s = np.cos(cam.lane_heading), np.sin(cam.lane_heading)
    x, z = place[:, 0] - cam.lane[0], place[:, 2] - cam.lane[1]
    u, v = c * x - s * z, s * x + c * z
    weights = np.array((0.24, 0.24, 0.14, 0.08, 0.16, 0.06, 0.08) if not indoor else (0.25, 0.3, 0.15, 0.1, 0.2))
    out = ground_colours(rng, seed, kinds[rng.choice(len(kinds), p=weights)], u, v, pixel)
    if not indoor:
        for side in (-1, 1):
            if rng.random() < 0.75:
                edge = rng.uniform(0.9, 3.5)
                beyond = side * u > edge
                kind = kinds[rng.choice(len(kinds), p=(0.34, 0.12, 0.08, 0.08, 0.08, 0.25, 0.05))]
                out[beyond] = ground_colours(rng, seed, kind, u[beyond], v[beyond], pixel[beyond])
                kerb = np.abs(side * u - edge - 0.07) < 0.07 + 0.3 * np.minimum(pixel, 0.2)
                out = np.where(kerb[:, None], muted(rng, 0.3, 0.55, "grey"), out)
                out = np.where((np.abs(side * u - edge - 0.2) < 0.06)[:, None], out * 0.72, out)
        if rng.random() < 0.3:
            out = _markings(rng, out, u, v, noise_of(seed, rng))
        if rng.random() < 0.3:
            litter = look_up(noise_of(seed, rng), x * 260, z * 260) > rng.uniform(1.7, 2.6)
            out = np.where(litter[:, None], muted(rng, 0.1, 0.5, "warm"), out)
    shade = ground_shade(sky, place, cam.lane)
    lit = out * _lit(sky, 1.0, max(sky.to_light[1], 0.0), shade)
    # Walls darken the ground near them.
    for nx, nz, offset, _ in walls:
        near = np.abs(nx * place[:, 0] + nz * place[:, 2] - offset)
        lit *= (1 - 0.35 * np.exp(-near / 0.4))[:, None]
    if sky.kind == "night":
        pools = [(rng.uniform(-5, 5), rng.uniform(-2, 7)) for _ in range(3)]
        lamp = sum(1 / (1 + ((x - a) ** 2 + (z - b) ** 2) / 6) for a, b in pools)
        lit *= np.clip(0.35 + 0.8 * lamp, 0, 1.8)[:, None]
    gloss = rng.uniform(0.05, 0.45) if indoor else (rng.uniform(0.1, 0.3) if rng.random() < 0.1 else 0.0)
    if gloss > 0.05:
        # The reflection of a wall in the floor lies where the line of sight, continued below it, meets the wall.
        nx, nz, offset, high = walls[0]
        eye = cam.lens.height
        slope = (place - np.array([0, eye, 0], np.float32)) / 1.0
        t = offset / np.minimum(nx * slope[:, 0] + nz * slope[:, 2], -1e-3)
        depth = np.abs(eye + t * slope[:, 1])
        along = t * (slope[:, 0] * nz - slope[:, 2] * nx)
        mirrored = wall_colours(np.random.default_rng(materials[0][0]), seed, materials[0][1], along, depth,
                                pixel + 0.05)  # fmt: skip
        mirrored = np.where((depth > high)[:, None], 1.1 if indoor else 0.9, mirrored) * sky.ambient
        lit = lit * (1 - gloss) + gloss * mirrored
    return np.asarray(lit, np.float32)


def _markings(rng: np.random.Generator, out: Array, u: Array, v: Array, noise: Array) -> Array:
    """Return the ground with worn paint: lines along the way, a crossing, or parking bays."""
    paint = muted(rng, 0.5, 0.75, "grey" if rng.random() < 0.85 else "warm")
    kind = rng.integers(3)
    at = rng.uniform(-2.5, 2.5)
    if kind == 0:
        marked = (np.abs(u - at) < 0.07) & ((v % 3.0 < 1.6) | (rng.random() < 0.5))
    elif kind == 1:
        marked = (np.abs(v - at) < 1.6) & (u % 1.0 < 0.5)
    else:
        marked = (np.abs(v % 2.5 - 1.2) < 0.06) & (u > at)
    worn = marked & (look_up(noise, u * 90, v * 90) < rng.uniform(0.6, 2.5))
    return np.where(worn[:, None], paint, out)


def _add_props(
    rng: np.random.Generator, seed: int, image: Array, cam: Camera, sky: Weather,
    walls: list[tuple[float, float, float, float]], style: Style,
) -> None:  # fmt: skip
    """Draw objects behind and beside the walkway into an image, farthest first."""
    indoor = sky.kind == "indoor"
    names = [name for name, prop in PROPS.items() if prop.indoor is None or prop.indoor == indoor]
    weights = np.array([PROPS[name].weight for name in names])
    reach = cam.lane_size[0] * abs(np.cos(cam.lane_heading)) + cam.lane_size[1] + 0.7
    spots: list[tuple[float, float, str, int]] = []
    mean = style.clutter * (3.0 if indoor else 6.5)
    for _ in range(int(rng.poisson(mean))):
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        prop = PROPS[name]
        far = cam.lane[1] + reach * 0.7 + rng.gamma(1.4, 2.2)
        x = rng.uniform(-4.5, 4.5) * far / cam.lane[1]
        count = int(rng.integers(prop.group[0], prop.group[1] + 1))
        slant = rng.normal(0, 0.15) * prop.group[2]
        kind = int(rng.integers(1 << 31))
        for k in range(count):
            alike = name not in ("bicycle", "car") and prop.group[1] > 1
            spots.append((far + k * slant + rng.uniform(0, 0.1), x + k * prop.group[2] * rng.uniform(0.9, 1.1),
                          name, kind if alike else kind + k))  # fmt: skip
    for z, x, name, state in sorted(spots, reverse=True):
        if all(nx * x + nz * z > offset + 0.1 for nx, nz, offset, _ in walls):
            _add_prop(np.random.default_rng(state), seed, image, cam, sky, (x, z), name)


def _add_prop(
    rng: np.random.Generator, seed: int, image: Array, cam: Camera, sky: Weather, at: tuple[float, float], name: str
) -> None:
    """Draw one object into an image, with its contact shadow."""
    rows, columns = image.shape[:2]
    prop = PROPS[name]
    wide = prop.size[0] * rng.uniform(prop.turn, 1.0) * rng.uniform(0.9, 1.1)
    high = prop.size[1] * rng.uniform(0.85, 1.15)
    x, z = at
    ends = cam.lens.project(np.array([[x - wide / 2, 0, z], [x + wide / 2, 0, z], [x, 0, z], [x, high, z]])) * rows
    left, right, bottom, top = ends[0, 0], ends[1, 0], ends[2, 1], ends[3, 1]
    if right < 0 or left > columns or bottom < 0 or top > rows or right - left < 2 or bottom - top < 3:
        return
    noise = noise_of(seed, rng)
    _contact_shadow(image, (left + right) / 2, bottom, (right - left) / 2, cam)
    colours = draw_prop(name, rng, round(right - left), round(bottom - top), noise)
    if rng.random() < 0.5:
        colours = colours[:, ::-1]
    shade = ground_shade(sky, np.array([[x, 0.0, z]], np.float32), cam.lane)
    light = _lit(sky, 0.9, 0.6, shade)[0]
    _paste(image, colours, light, int(left), int(top), round(right - left), round(bottom - top))
    if name == "tree":
        crown = draw_prop("bush", rng, round((right - left) * 3.6), round((bottom - top) * 0.75), noise)
        _paste(image, crown, light, int(left - 1.3 * (right - left)), int(top - 0.35 * (bottom - top)),
               round((right - left) * 3.6), round((bottom - top) * 0.75))  # fmt: skip


def _contact_shadow(image: Array, x: float, y: float, reach: float, cam: Camera) -> None:
    """Darken the ground below an object."""
    rows, columns = image.shape[:2]
    flat = max(2.0, reach * 0.35 * np.sin(cam.lens.pitch) + 1.5)
    low, high = int(max(y - 2 * flat, 0)), int(min(y + 2 * flat, rows))
    left, right = int(max(x - 1.6 * reach, 0)), int(min(x + 1.6 * reach, columns))
    if high <= low or right <= left:
        return
    v, u = np.mgrid[low:high, left:right].astype(np.float32)
    image[low:high, left:right] *= (1 - 0.5 * np.exp(-(((u - x) / reach) ** 4) - ((v - y) / flat) ** 2))[..., None]


def _paste(image: Array, colours: Array, light: Array, left: int, top: int, wide: int, high: int) -> None:
    """Draw colours with opacity into an image, enlarged to `wide` × `high` pixels."""
    rows, columns = image.shape[:2]
    if colours.shape[:2] != (high, wide):
        levels = Image.fromarray((np.clip(colours, 0, 1) * 255).astype(np.uint8), "RGBA").resize((wide, high), 2)
        colours = np.asarray(levels, np.float32) / 255
    y0, y1, x0, x1 = max(top, 0), min(top + high, rows), max(left, 0), min(left + wide, columns)
    if y1 <= y0 or x1 <= x0:
        return
    part = colours[y0 - top : y1 - top, x0 - left : x1 - left]
    window = image[y0:y1, x0:x1]
    window += part[..., 3:] * (part[..., :3] * light - window)


def _finish(rng: np.random.Generator, image: Array, cam: Camera, sky: Weather, reach: Array, noise: Array) -> None:
    """Apply uneven light, and blur what is far behind the walkway, in place."""
    rows, columns = image.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    uneven = look_up(noise, x * 60 / rows, y * 60 / rows)
    image *= (1 + (0.10 if sky.kind in ("night", "indoor") else 0.05) * uneven)[..., None]
    blur = rng.uniform(0.0, 1.0)
    size = max(2, round(rows * 0.012))
    soft = image
    for axis in (0, 1):
        soft = uniform_filter1d(uniform_filter1d(soft, size, axis), size, axis)
    weight = np.clip(blur * np.abs(reach / cam.lane[1] - 1.0) * 1.2 - 0.15, 0, 0.9)[..., None]
    image += weight * (soft - image)
