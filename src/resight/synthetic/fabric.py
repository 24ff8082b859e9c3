"""Colour and relief of single points of detailed figures: patterns, seams, openings, hair and faces."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from resight.synthetic.solids import ARM, CANOPY, FACE, HAIR, HARD, LEG, TRUNK
from resight.synthetic.textures import BLOBS, GRAIN, SIZE, STRANDS, TEXEL, texture_bank
from resight.synthetic.wardrobe import (
    BANDED,
    BLOCKS,
    BUTTONS,
    CHECKED,
    MOTTLED,
    NUMBERED,
    OPEN,
    PINSTRIPED,
    PRINTED,
    REFLECTIVE,
    SIDE_STRIPE,
    SLEEVES,
    STRIPED,
    ZIP,
)


def fabric(table: Tensor, cloths: Tensor, ox: Tensor, oy: Tensor, oz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the colour (3, K), the relief in metres (K,) and the gloss (K,) of points.

    Args:
        table: (26, K) Values of the cone of each point; see `resight.synthetic.surface.gather_surface`.
        cloths: (24, C) Cloths; see `resight.synthetic.dressing.dress`.
        ox: (K,) Position in the cone's own coordinates, in pixels: along the wide axis of its section.
        oy: (K,) The same along its axis.
        oz: (K,) The same across both, ahead for upright solids.
    """
    length, scale = table[12], table[15]
    kind, offset, breadth = table[19], table[20], table[21]
    fraction = oy / length
    along = oy / scale + offset
    angle = torch.atan2(ox, oz)
    around = angle * breadth
    row = torch.where(fraction > table[18], table[17], table[16]).long()
    trunk = kind == TRUNK
    opened = _opening(cloths[11][row], cloths[19][row], cloths[21][row], along, around, angle)
    row = torch.where(trunk & opened, table[22].long(), row)
    cloth = cloths.index_select(1, row)
    bank = texture_bank(str(table.device))
    u = ((around + cloth[17]) / TEXEL).long()
    v = ((along + cloth[18]) / TEXEL).long()

    def look_up(layer: Tensor | int, across: int = 1) -> Tensor:
        return bank[rows + (u * across & (SIZE - 1)) + layer * (SIZE * SIZE)]

    rows = (v & (SIZE - 1)) * SIZE
    blobs, strands = look_up(BLOBS), look_up(STRANDS, 2)
    crease = torch.lerp(table[23], table[24], fraction.clamp(0, 1))
    hard = (kind == HARD) | (kind == FACE) | (kind == CANOPY)
    relief = look_up(cloth[12].long()) * cloth[13] * crease * ~hard
    share = _pattern(cloth, along, around, angle, kind, blobs)
    colour = torch.lerp(cloth[:3], cloth[3:6], share)
    colour = torch.where(_accent(cloth, along, around, angle, kind, blobs), cloth[6:9], colour)
    shade = 1 + cloth[16] * look_up(GRAIN)
    front = torch.cos(angle)
    leg = kind == LEG
    worn = torch.exp(-(((along - 0.30) / 0.16) ** 2)) + 0.7 * torch.exp(-(((along - 0.56) / 0.10) ** 2))
    shade = shade * (1 + 0.75 * cloth[15] * leg * worn * (0.35 + 0.65 * front).clamp(min=0))
    shade = shade * _seams(cloth, along, around, angle, kind)
    canopy = kind == CANOPY
    rib = torch.frac(angle * (4 / math.pi) + 8)
    shade = shade * (1 - 0.25 * canopy * ((rib < 0.08) | (rib > 0.92)))
    hair = kind == HAIR
    shade = shade * (1 + 0.38 * hair * strands.clamp(-1, 1))
    colour = colour * shade
    _paint_faces(colour, cloth, kind, ox / scale, oy / scale, oz, strands)
    return colour, relief, cloth[14]


def _opening(opening: Tensor, collar: Tensor, form: Tensor, along: Tensor, around: Tensor, angle: Tensor) -> Tensor:
    """Return (K,) whether an open garment shows the inner one."""
    straight = 0.022 + 0.03 * form + (0.03 + 0.09 * form) * along
    pointed = 0.085 * (1 - along / (0.24 + 0.14 * form))
    gap = torch.where((collar == 4) & (form < 0.6), pointed, straight)
    return (opening == OPEN) & (around.abs() < gap) & (angle.abs() < 1.3)


def _pattern(cloth: Tensor, along: Tensor, around: Tensor, angle: Tensor, kind: Tensor, blobs: Tensor) -> Tensor:
    """Return (K,) the share of the second colour, from 0 to 1."""
    pattern, period = cloth[9], cloth[10]
    arm, trunk = kind == ARM, kind == TRUNK
    level = torch.frac(along / period + 8) < 0.5
    upright = torch.frac(around / (0.8 * period) + 8.25) < 0.5
    thin = torch.frac(around / 0.035 + 8.25) < 0.2
    block = torch.where(period > 0.05, along > 0.20, along < 0.15)
    bright = ((along - 0.24).abs() < 0.026) | ((along - 0.37).abs() < 0.026)
    bright |= trunk & ((around.abs() - 0.10).abs() < 0.022) & (along < 0.24)
    sides = (angle.abs() - math.pi / 2).abs() < 0.24
    full = (
        ((pattern == STRIPED) & level)
        | ((pattern == BLOCKS) & block)
        | ((pattern == SLEEVES) & arm)
        | ((pattern == MOTTLED) & (blobs > 0.35))
        | ((pattern == BANDED) & ((along - 0.20).abs() < 0.05))
        | ((pattern == REFLECTIVE) & bright)
        | ((pattern == SIDE_STRIPE) & sides)
    )
    part = 0.5 * (level.float() + upright.float()) * (pattern == CHECKED) + 0.6 * ((pattern == PINSTRIPED) & thin)
    return torch.maximum(full.float(), part)


def _accent(cloth: Tensor, along: Tensor, around: Tensor, angle: Tensor, kind: Tensor, blobs: Tensor) -> Tensor:
    """Return (K,) where prints, numbers, zips and buttons are."""
    pattern, trunk = cloth[9], kind == TRUNK
    front = trunk & (angle.abs() < 1.4)
    large = cloth[21] > 0.35
    wide = around.abs() < 0.045 + 0.07 * cloth[21]
    print_ = front & wide & ((along - 0.19).abs() < 0.03 + 0.09 * cloth[10] * 10) & (blobs > -0.25)
    badge = front & ((around - 0.065).abs() < 0.025) & ((along - 0.14).abs() < 0.02)
    behind = math.pi - angle.abs()
    back_x = behind * around.abs() / angle.abs().clamp(min=0.1)
    digit = (
        (back_x < 0.08)
        & ((along - 0.24).abs() < 0.10)
        & ((back_x > 0.045) | (((along - 0.24).abs() - 0.05).abs() > 0.035))
    )
    zip_ = (cloth[11] == ZIP) & front & (around.abs() < 0.008)
    button = (
        (cloth[11] == BUTTONS) & front & (around.abs() < 0.008) & ((torch.frac(along / 0.09 + 8) - 0.5).abs() < 0.10)
    )
    return (
        ((pattern == PRINTED) & torch.where(large, print_, badge))
        | ((pattern == NUMBERED) & trunk & (behind < 1.3) & digit)
        | ((pattern == NUMBERED) & badge)
        | zip_
        | button
    )


def _seams(cloth: Tensor, along: Tensor, around: Tensor, angle: Tensor, kind: Tensor) -> Tensor:
    """Return (K,) factors that darken seams, hems, pockets, the edge of an opening, and the belt."""
    trunk, leg, arm = kind == TRUNK, kind == LEG, kind == ARM
    front = angle.abs() < 1.4
    length = cloth[20]
    hem = trunk & ((length - along - 0.022).abs() < 0.006)
    band = trunk & (cloth[12] == 3) & (length - along < 0.05)
    pocket = (trunk & front & (cloth[11] > 0) & ((along - 0.42 - 0.5 * (around.abs() - 0.12)).abs() < 0.007)
              & ((around.abs() - 0.12).abs() < 0.045))  # fmt: skip
    flap = trunk & front & (cloth[19] == 3) & ((along - 0.15).abs() < 0.006) & ((around.abs() - 0.075).abs() < 0.04)
    placket = trunk & front & (cloth[11] == 3) & ((around.abs() - 0.018).abs() < 0.004)
    side = leg & ((angle.abs() - math.pi / 2).abs() < 0.07)
    fly = leg & (around.abs() < 0.006) & (along < 0.16)
    hip = leg & front & ((along - 0.06 - (around.abs() - 0.07)).abs() < 0.007) & (around.abs() > 0.06)
    cuff = arm & (cloth[22] > 1) & ((along - 0.70 * cloth[20] - 0.02).abs() < 0.006)
    lines = hem | pocket | flap | placket | side | fly | hip | cuff
    lapel = trunk & (cloth[19] == 4) & front & ((around.abs() - 0.10 * (1 - along / 0.42)).abs() < 0.007)
    belt = leg & (along < 0.042) & (cloth[23] > 0) & front
    return 1 - 0.30 * lines.float() - 0.38 * lapel.float() - 0.16 * band.float() - 0.55 * belt.float()


def _paint_faces(
    colour: Tensor, cloth: Tensor, kind: Tensor, x: Tensor, y: Tensor, oz: Tensor, strands: Tensor
) -> None:
    """Paint hairline, eyes, brows, nose, mouth, beard, glasses and mask onto the skulls, in place.

    Args:
        colour: (3, K) Colours.
        cloth: (24, K) Cloth of each point.
        kind: (K,) How each point is painted.
        x: (K,) Position to the side, from the middle of the face, in metres.
        y: (K,) Position below the middle of the skull in metres.
        oz: (K,) Position ahead; only the sign is used.
        strands: (K,) Texture of hair.
    """
    at = torch.nonzero(kind == FACE).squeeze(1)
    if not len(at):
        return
    c = cloth[:, at]
    size = c[22]
    x, y, front = x[at].abs() / size, y[at] / size, oz[at] > 0
    skin, hair = c[:3], c[3:6]
    face = skin.clone()

    def near(px: float, py: float, rx: float, ry: float) -> Tensor:
        """Return a soft spot: 1 at its centre, 0 outside its radii."""
        return (1.4 * (1 - ((x - px) / rx) ** 2 - ((y - py) / ry) ** 2)).clamp(0, 1) * front

    def mix(share: Tensor, target: Tensor) -> None:
        face.copy_(torch.lerp(face, target, share))

    dark = skin * torch.tensor([0.50, 0.42, 0.40], device=skin.device)[:, None]
    mix(0.55 * near(0.0185, 0.0135, 0.0125, 0.0085), dark)
    mix(0.30 * near(0.0, 0.046, 0.020, 0.014), dark)
    mix(0.45 * near(0.008, 0.0375, 0.009, 0.004), dark)
    mix(0.25 * near(0.034, 0.040, 0.014, 0.030), dark)
    cheeks = skin * torch.tensor([1.10, 0.92, 0.90], device=skin.device)[:, None]
    mix(0.5 * near(0.024, 0.033, 0.013, 0.011), cheeks)
    mix((0.55 + 0.3 * c[23]) * near(0.0185, 0.0015, 0.0125, 0.0040), 0.5 * hair + 0.25 * skin * 0.3)
    mix(0.85 * near(0.0185, 0.0130, 0.0065, 0.0038), torch.full_like(skin, 0.02))
    lips = torch.stack([skin[0] * (0.72 + 0.1 * c[23]), skin[1] * 0.42, skin[2] * 0.42])
    mix((0.75 + 0.2 * c[23]) * near(0.0, 0.0505, 0.0135, 0.0042), lips)
    jaw = ((y - 0.036) / 0.006).clamp(0, 1) * (1 - near(0.0, 0.0500, 0.014, 0.0055))
    edge = ((x - 0.032) / 0.006).clamp(0, 1) * ((y - 0.016) / 0.01).clamp(0, 1)
    moustache = near(0.0, 0.0425, 0.018, 0.004)
    beard = torch.maximum(torch.maximum(jaw, edge), moustache) * (y < 0.2)
    beard = beard * ((oz[at] > 0) | (y > 0.03)) * c[19] * (0.8 + 0.2 * strands[at]).clamp(0.4, 1)
    mix(0.9 * beard * (c[19] > 0), hair)
    # The hairline falls from the forehead to the temples, and behind the ears to the nape.
    line = c[17] + (c[18] - c[17]) * ((x - 0.018) / 0.022).clamp(0, 1) ** 2
    line = torch.where(
        front, line, torch.maximum(c[18], torch.full_like(line, 0.058)) * (c[17] > -0.1) - 0.3 * (c[17] <= -0.1)
    )
    top = ((line - y) / 0.004).clamp(0, 1)
    mix(top, hair * (1 + 0.35 * strands[at].clamp(-1, 1)))
    mask = (c[21] > 0) * ((y - 0.026 - 0.15 * (x - 0.01).clamp(min=0)) / 0.003).clamp(0, 1) * front
    mix(mask, c[6:9])
    frame = (near(0.0195, 0.0135, 0.0165, 0.0130) > 0).float() - (near(0.0195, 0.0135, 0.0125, 0.0095) > 0).float()
    bridge = front & ((y - 0.010).abs() < 0.0018)
    mix((c[20] == 1) * torch.maximum(frame, bridge.float() * 0.8) * 0.8, torch.full_like(skin, 0.02))
    shades = (near(0.0195, 0.0135, 0.0180, 0.0135) > 0) | bridge
    mix((c[20] == 2) * shades.float() * 0.95, torch.full_like(skin, 0.012))
    colour[:, at] = face
